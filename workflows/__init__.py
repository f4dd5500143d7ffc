"""Deterministic orchestration only: one file a level, each `run` reads as its plan."""
