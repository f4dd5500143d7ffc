"""Long work that is told of, and ended by whoever is told."""

import threading

import pytest

from failback.providers.backup import attending
from failback.providers.backup.attending import attended


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attending, "EVERY_SECONDS", 0.01)


def test_work_when_it_ends_then_its_result_or_its_error_comes() -> None:
    told: list[str] = []
    halt = threading.Event()
    assert attended(lambda: 7, told.append, "reading", halt.set) == 7

    def fail() -> None:
        raise TimeoutError("the server's own")

    with pytest.raises(TimeoutError, match="the server's own"):
        attended(fail, told.append, "reading", halt.set)
    assert not halt.is_set()


def test_work_when_whoever_is_told_raises_then_it_is_stopped_and_has_ended() -> None:
    halt, ended = threading.Event(), threading.Event()

    def work() -> None:
        halt.wait(10.0)
        ended.set()

    def tell(sentence: str) -> None:
        raise KeyboardInterrupt(sentence)

    with pytest.raises(KeyboardInterrupt, match="reading"):
        attended(work, tell, "reading", halt.set)
    assert ended.is_set()
