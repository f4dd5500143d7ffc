"""What the estate's `AlertResponse` is started with."""

from failback.models.common import Payload


class AlertResponseRequest(Payload):
    """Starts the one workflow that answers an estate's alerts."""

    estate: str
