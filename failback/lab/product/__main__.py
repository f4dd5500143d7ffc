"""Runs one product process: `python -m failback.lab.product --side target …`.

What is secret comes by the environment, since anybody on the machine can read arguments.
"""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from aiohttp import web

from failback.lab.product import environment
from failback.lab.product.app import Product, Settings
from failback.lab.product.s3 import S3Access
from failback.models.common import Side

_STOP_SECONDS = 3.0


def main() -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and leave."""
    options = _options()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        secrets = environment.read()
    except LookupError as error:
        sys.exit(str(error))
    settings = Settings(
        side=Side(options.side),
        **secrets,
        files=options.files,
        bcrypt_cost=options.bcrypt_cost,
        connections=options.connections,
        objects=S3Access.read(),
        jwt_keys=environment.jwt_keys(),
        reuse_seconds=environment.reuse_seconds(),
        functions_url=environment.functions_url(),
    )
    try:
        asyncio.run(serve(settings, options.port))
    except OSError as error:
        sys.exit(f"The product cannot serve on port {options.port}: {error}")


async def serve(settings: Settings, port: int) -> None:
    """Serve one side on 127.0.0.1 until a signal asks to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        Product(settings).application(), access_log=None, shutdown_timeout=_STOP_SECONDS
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        await stop.wait()
    finally:
        await runner.cleanup()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="failback.lab.product", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--side", choices=[side.value for side in Side], required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--files", type=Path, required=True, help="folder of stored objects")
    parser.add_argument("--bcrypt-cost", type=int, choices=range(4, 16), default=4)
    parser.add_argument("--connections", type=int, default=12, help="most to the database")
    return parser.parse_args()


if __name__ == "__main__":
    main()
