"""Load balancers: the real one and its fake."""

from failback.providers.load_balancer.fake import FakeLoadBalancer

__all__ = ["FakeLoadBalancer"]
