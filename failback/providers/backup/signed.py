"""Who writes a manifest or a proof, and with what."""

import getpass
import socket
from importlib import metadata


def me() -> str:
    """User and machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def software() -> str:
    """`failback` with its version."""
    return f"failback {metadata.version('failback')}"
