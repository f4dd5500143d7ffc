"""Schemas and histories that hypothesis generates, and the estate that they run on."""
