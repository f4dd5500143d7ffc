"""Post-mortems as files: one Markdown document that people write in, and one page to look at."""

import contextlib
import os
import re
from pathlib import Path

from failback.errors import PostMortemError
from failback.models.post_mortem import PostMortemFacts, WrittenPostMortem
from failback.sections.post_mortems import PostMortemsConfig

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_HOUR = 3600.0


class FilePostMortems:
    """Implements `PostMortemStore`.

    Args:
        estate: the estate's name.
        config: folder and times.
    """

    def __init__(self, estate: str, config: PostMortemsConfig) -> None:
        self._folder = config.directory or default_directory(estate)
        self._config = config

    @property
    def due_seconds(self) -> float:
        """See `PostMortemStore.due_seconds`."""
        return self._config.due_hours * _HOUR

    def keep(self, found: PostMortemFacts) -> WrittenPostMortem:
        """See `PostMortemStore.keep`."""
        # Not for who only asks where something is: jinja takes its time to import.
        from failback.reports.findings import to_look_into  # noqa: PLC0415
        from failback.reports.post_mortem import render_html, render_markdown  # noqa: PLC0415

        markdown, html = self.paths(found.result.rollback_id)
        try:
            before = markdown.read_text(encoding="utf-8") if markdown.exists() else ""
            _write(markdown, render_markdown(found, before))
            _write(html, render_html(found))
        except (OSError, UnicodeDecodeError) as error:
            raise PostMortemError(
                f"The post-mortem cannot be written to {self._folder}: {error}.",
                "Let the worker's user write there, or name another post_mortems.directory.",
            ) from error
        return WrittenPostMortem(
            markdown=str(markdown),
            html=str(html),
            due_at=found.due_at,
            remind_after_seconds=tuple(hours * _HOUR for hours in self._config.remind_after_hours),
            remind_every_seconds=self._config.remind_every_hours * _HOUR,
            findings=len(to_look_into(found)),
        )

    def read(self, rollback_id: str) -> str:
        """See `PostMortemStore.read`."""
        markdown, _ = self.paths(rollback_id)
        try:
            return markdown.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PostMortemError(
                f"There is no post-mortem of {rollback_id} in {self._folder}.",
                f"Write it with `failback post-mortem write {rollback_id}`.",
            ) from error

    def paths(self, rollback_id: str) -> tuple[Path, Path]:
        """The Markdown document and the page of one rollback.

        Raises:
            PostMortemError: the id is none, such as one that leads out of the folder.
        """
        if not _NAME.fullmatch(rollback_id):
            raise PostMortemError(
                f"{rollback_id!r} is no rollback id.", "`failback rollback list` shows them."
            )
        return self._folder / f"{rollback_id}.md", self._folder / f"{rollback_id}.html"


def default_directory(estate: str) -> Path:
    """Where the documents lie when nobody has said so: with the state of the user's programs."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return folder / "failback" / estate / "post-mortems"


def _write(path: Path, text: str) -> None:
    """All of a file or nothing of it, so that a crash costs nobody their notes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
