"""Incidents with labels: raw counters of the past, and what should have been decided when."""
