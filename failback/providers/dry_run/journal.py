"""What a dry run would have done, in order."""

import threading


class DryRunJournal:
    """Sentences, in the order in which the writes would have happened. Thread-safe."""

    def __init__(self) -> None:
        self._sentences: list[str] = []
        self._lock = threading.Lock()

    def would(self, what: str) -> None:
        """Record one write, told as what would be done: `raise the fence on the target`."""
        with self._lock:
            self._sentences.append(f"Would {what.rstrip('.')}.")

    def observed(self, what: str) -> None:
        """Record what a read of the real estate found, where it belongs to the story."""
        with self._lock:
            self._sentences.append(f"Observed: {what.rstrip('.')}.")

    def sentences(self) -> tuple[str, ...]:
        """All sentences so far."""
        with self._lock:
            return tuple(self._sentences)
