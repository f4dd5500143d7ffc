"""The HTTP door of an estate: webhooks of alerts, the operator API, and pages that decide."""
