"""Where post-mortems are kept. Providers implement this Protocol."""

from typing import Protocol

from failback.models.post_mortem import PostMortemFacts, WrittenPostMortem


class PostMortemStore(Protocol):
    """Keeps post-mortems, one for each rollback. Raises PostMortemError."""

    @property
    def due_seconds(self) -> float:
        """A post-mortem is complete in time within so long of its rollback's end."""
        ...

    def keep(self, found: PostMortemFacts) -> WrittenPostMortem:
        """Write a document, or write it anew: what people wrote in it stays. Blocking."""
        ...

    def read(self, rollback_id: str) -> str:
        """A document as it is now, as Markdown. Blocking."""
        ...
