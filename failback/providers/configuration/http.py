"""Values in a JSON document behind an address."""

import json
from collections.abc import Sequence

from failback.errors import FailbackError, SettingsChangedError, SettingsError
from failback.providers.configuration.asking import Asker
from failback.providers.configuration.documents import changed_keys, read_keys
from failback.providers.configuration.json_text import crosses_list, merge_patch, parsed
from failback.providers.configuration.place import Change, Reading
from failback.sections.configuration import HttpDocumentConfig, KeyConfig

_WEAK = "W/"


class HttpDocumentPlace:
    """Implements `Place`: GET reads; PATCH sends what changes, PUT the whole document.

    Where the answer to GET has a strong ETag, a write names it in `If-Match`; without one, a
    change by somebody else in between is overwritten by PUT.

    Args:
        config: the address, and how it is changed. Nothing is connected to yet.
        name: what messages call the place.
    """

    def __init__(self, config: HttpDocumentConfig, name: str) -> None:
        self._config = config
        self._name = name
        token = config.token.get_secret_value() if config.token else ""
        self._asker = Asker(f"The place {name}", token, config.timeout_seconds)

    async def read(self, keys: Sequence[KeyConfig]) -> Reading:
        """See `Place.read`."""
        text, etag = await self._got()
        reading = read_keys(text, keys, etag)
        if self._config.method == "put":
            return reading
        document = parsed(text)
        beyond: dict[str, FailbackError] = {
            key.name: SettingsError(
                f"A PATCH cannot reach {key.key}, which leads through a list.",
                "Switch the list as a whole, or set method to put.",
            )
            for key in keys
            if crosses_list(document, key.key)
        }
        return Reading(reading.digests, {**reading.problems, **beyond}, reading.seen)

    async def write(self, changes: Sequence[Change], seen: str) -> None:
        """See `Place.write`."""
        headers = {"Content-Type": self._config.content_type}
        if seen and not seen.startswith(_WEAK):
            headers["If-Match"] = seen
        url = self._config.url.get_secret_value()
        if self._config.method == "patch":
            patch = merge_patch([(key.key, value) for key, value in changes])
            body = json.dumps(patch, ensure_ascii=False).encode("utf-8")
            await self._asker.ask("PATCH", url, content=body, headers=headers)
            return
        text, etag = await self._got()
        if etag != seen:
            raise SettingsChangedError(f"The place {self._name} changed while it was worked on.")
        body = changed_keys(text, changes).encode("utf-8")
        await self._asker.ask("PUT", url, content=body, headers=headers)

    async def aclose(self) -> None:
        """See `Place.aclose`."""
        await self._asker.aclose()

    async def _got(self) -> tuple[str, str]:
        answer = await self._asker.ask(
            "GET",
            self._config.url.get_secret_value(),
            headers={"Accept": "application/json", "Cache-Control": "no-cache"},
        )
        return answer.text, answer.headers.get("ETag", "")
