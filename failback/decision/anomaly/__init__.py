"""Unusual patterns in one metric: a causal, streaming detector and what it says of a history.

The method, its sources and how well it does are in docs/anomaly-detection.md.
"""

from failback.decision.anomaly.detector import REFRACTORY_ROWS, THRESHOLD, Detector, Score
from failback.decision.anomaly.history import Unusual, replay, unusual

__all__ = ["REFRACTORY_ROWS", "THRESHOLD", "Detector", "Score", "Unusual", "replay", "unusual"]
