"""Runs the stand-in: `python -m failback.lab.management --port … --ref … --state …`.

What is secret comes by the environment, since anybody on the machine can read arguments.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from failback.lab.management.app import Management, Settings
from failback.lab.management.names import JWT_SECRET, TOKEN

_STOP_SECONDS = 1.0


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    options = _options()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    missing = [name for name in (TOKEN, JWT_SECRET) if not os.environ.get(name)]
    if missing:
        sys.exit(f"The management API needs {', '.join(missing)} in its environment.")
    settings = Settings(
        ref=options.ref,
        token=os.environ[TOKEN],
        jwt_secret=os.environ[JWT_SECRET],
        state=options.state,
        secrets=options.secrets,
        jwt_keys=options.jwt_keys,
        functions=options.functions,
    )
    try:
        asyncio.run(serve(settings, options.port))
    except OSError as error:
        sys.exit(f"The management API cannot serve on port {options.port}: {error}")


async def serve(settings: Settings, port: int) -> None:
    """Serve one project on 127.0.0.1 until a signal asks to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        Management(settings).application(), access_log=None, shutdown_timeout=_STOP_SECONDS
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await stop.wait()
    finally:
        await runner.cleanup()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="failback.lab.management", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ref", required=True, help="the project's reference")
    parser.add_argument("--state", type=Path, required=True, help="what it knows")
    parser.add_argument("--secrets", type=Path, required=True, help="secrets of the functions")
    parser.add_argument("--jwt-keys", type=Path, required=True, help="signing keys of its auth")
    parser.add_argument("--functions", type=Path, help="functions that are deployed at first")
    return parser.parse_args()


if __name__ == "__main__":
    main()
