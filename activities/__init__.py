"""Idempotent effects on outside systems, one class a system. They depend on ports only."""
