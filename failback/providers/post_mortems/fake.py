"""A store that keeps the facts it was given."""

from failback.errors import PostMortemError
from failback.models.post_mortem import PostMortemFacts, WrittenPostMortem
from failback.providers.faults import Call, Faults


class FakePostMortems(Faults):
    """Keeps facts in `.kept`, in the order in which they came.

    Args:
        due_seconds: from a rollback's end.
        remind_after_seconds: from a rollback's end.
        remind_every_seconds: after the last of those.
        calls: where calls are recorded.
    """

    def __init__(
        self,
        *,
        due_seconds: float = 86_400.0,
        remind_after_seconds: tuple[float, ...] = (14_400.0, 82_800.0),
        remind_every_seconds: float = 86_400.0,
        calls: list[Call] | None = None,
    ) -> None:
        super().__init__("post_mortems", calls)
        self.due_seconds = due_seconds
        self._after = remind_after_seconds
        self._every = remind_every_seconds
        self.kept: list[PostMortemFacts] = []

    def keep(self, found: PostMortemFacts) -> WrittenPostMortem:
        """See `PostMortemStore.keep`."""
        self._called_blocking("keep", found.result.rollback_id)
        self.kept.append(found)
        return WrittenPostMortem(
            markdown=f"{found.result.rollback_id}.md",
            html=f"{found.result.rollback_id}.html",
            due_at=found.due_at,
            remind_after_seconds=self._after,
            remind_every_seconds=self._every,
        )

    def read(self, rollback_id: str) -> str:
        """See `PostMortemStore.read`."""
        self._called_blocking("read", rollback_id)
        for found in reversed(self.kept):
            if found.result.rollback_id == rollback_id:
                return f"# Post-mortem of {rollback_id}\n"
        raise PostMortemError(f"There is no post-mortem of {rollback_id}.", "Write it.")
