"""Processes: composition and nothing else."""
