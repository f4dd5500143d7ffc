"""Metric stores: Prometheus and its fake."""

from failback.providers.metrics.fake import FakeMetricStore
from failback.providers.metrics.prometheus import PrometheusMetrics

__all__ = ["FakeMetricStore", "PrometheusMetrics"]
