"""`python -m workers --config failback.yaml`: one worker process."""

import argparse
import asyncio
import sys
from pathlib import Path

from failback.config import DEFAULT_PATH, load
from failback.errors import ConfigurationError, FailbackError
from failback.telemetry import configure_logging
from workers.bootstrap import run_worker


def main() -> int:
    """Run a worker until it is told to stop; the exit code is the CLI's."""
    parser = argparse.ArgumentParser(prog="workers", description=__doc__)
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH)
    arguments = parser.parse_args()
    configure_logging()
    try:
        asyncio.run(run_worker(load(arguments.config), arguments.config))
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except FailbackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
