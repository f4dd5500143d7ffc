"""The outside world: for each port the real providers and their fake, side by side."""
