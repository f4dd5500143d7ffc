"""How the stand-in is told its secrets, and where it says that it lives."""

TOKEN = "FAILBACK_LAB_MANAGEMENT_TOKEN"
"""What the project's owner shows."""
JWT_SECRET = "FAILBACK_LAB_JWT_SECRET"
"""What the project's auth signs with where it has no keys."""
HEALTH_PATH = "/health"
