"""Load balancers: the real one and its fake."""

from failback.providers.load_balancer.fake import FakeLoadBalancer
from failback.providers.load_balancer.haproxy import HaproxyLoadBalancer

__all__ = ["FakeLoadBalancer", "HaproxyLoadBalancer"]
