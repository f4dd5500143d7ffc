"""Frozen payloads: everything that travels between workflows, activities and people."""
