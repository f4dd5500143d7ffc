"""`python -m support.killed_worker`: a real worker that is killed once, at one activity.

Environment: CONFIG, the estate's file; ACTIVITY, a name; WHEN, `before` or `after` its effect;
MARK, a file that is made with the kill, so that the next worker lives.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, Worker

from failback.config import load
from workers import bootstrap, composition


class Killer(Interceptor):
    """Ends this process as `kill -9` does, at the activity that it was told."""

    def intercept_activity(
        self, following: ActivityInboundInterceptor
    ) -> ActivityInboundInterceptor:
        return _Killing(following)


class _Killing(ActivityInboundInterceptor):
    async def execute_activity(self, called: ExecuteActivityInput) -> Any:
        due = activity.info().activity_type == os.environ["ACTIVITY"]
        if due and os.environ["WHEN"] == "before":
            _kill_once()
        result = await super().execute_activity(called)
        if due:
            _kill_once()
        return result


def _kill_once() -> None:
    mark = Path(os.environ["MARK"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class _KilledWorker(Worker):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "interceptors": [Killer()]})


def main() -> None:
    """Serve the estate until somebody or the interceptor ends it."""
    composition.Worker = _KilledWorker  # type: ignore[misc]
    path = Path(os.environ["CONFIG"])
    asyncio.run(bootstrap.run_worker(load(path), path))


if __name__ == "__main__":
    main()
