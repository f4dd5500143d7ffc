"""Starts a worker for one estate and runs it until it is told to stop."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from temporalio.client import Client

from activities.response import ResponseSettings
from failback.config import Estate
from failback.providers.backup import open_backups
from failback.providers.checks.availability import AvailabilityProber
from failback.providers.compose import Ports, compose
from failback.providers.evidence import FileEvidence
from failback.providers.post_mortems import FilePostMortems
from failback.reverse_sync.catch_up import CatchUp
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.settings import SyncSettings
from failback.telemetry import Telemetry
from failback.temporal.client import connect, ensure_search_attributes
from failback.temporal.survey import TemporalRegistry
from workers.composition import THREADS, WorkerPorts, build_worker
from workers.evidence import evidence_gatherer
from workers.response import response_settings
from workers.system import system_ports

logger = logging.getLogger("failback.worker")


async def run_worker(
    estate: Estate, path: Path | None = None, *, stop: asyncio.Event | None = None
) -> None:
    """Serve an estate until SIGTERM, SIGINT or `stop`.

    Args:
        estate: whose worker it is.
        path: its configuration file, for backups to carry.
        stop: ends it when it is set.

    Raises:
        UnreachableError: Temporal does not answer.
    """
    stopping = stop or _stop_on_signals()
    telemetry = Telemetry.start(estate.telemetry, service="failback-worker")
    try:
        client = await connect(
            estate,
            interceptors=telemetry.interceptors(),
            runtime=telemetry.runtime,
            identity=identity(telemetry.metrics_address),
        )
        search_attributes = await ensure_search_attributes(client)
        response = response_settings(estate, search_attributes=search_attributes)
        await _serve(client, estate, path, response, stopping)
    finally:
        telemetry.close()


async def _serve(
    client: Client,
    estate: Estate,
    path: Path | None,
    response: ResponseSettings,
    stopping: asyncio.Event,
) -> None:
    """Compose the real ports, and run the worker on them."""
    ports = compose(estate)
    settings = SyncSettings.of(estate)
    engine, catch_up = ReverseSync(settings), CatchUp(settings)
    backups = None if estate.backup is None else cache(partial(open_backups, estate, path))
    try:
        async with system_ports(estate, ports, engine) as system:
            known = replace(
                worker_ports(estate, ports, engine),
                response=response,
                catch_up=catch_up,
                registry=TemporalRegistry(client, estate.estate),
                backups=backups,
                system=system,
            )
            await _until_stopped(client, estate, known, stopping)
    finally:
        engine.close()
        catch_up.close()
        if backups is not None and backups.cache_info().currsize:
            backups().close()
        await ports.aclose()


async def _until_stopped(
    client: Client, estate: Estate, ports: WorkerPorts, stopping: asyncio.Event
) -> None:
    with ThreadPoolExecutor(THREADS, thread_name_prefix="activity") as threads:
        async with build_worker(client, estate.temporal.task_queue, ports, threads):
            logger.info(
                "worker of %s serves %s at %s",
                estate.estate,
                estate.temporal.task_queue,
                estate.temporal.address,
            )
            await stopping.wait()


def identity(metrics_address: str) -> str:
    """How Temporal and `failback check` name this worker, with where its metrics are."""
    name = f"{os.getpid()}@{socket.gethostname()}"
    return f"{name}, metrics at http://{metrics_address}/metrics" if metrics_address else name


def worker_ports(estate: Estate, ports: Ports, engine: ReverseSync) -> WorkerPorts:
    """The real ports of an estate as the worker's activities take them."""
    checks = ports.checks
    interval = estate.checks.probe_interval_seconds if estate.checks else 0.1
    return WorkerPorts(
        balancer=ports.balancer,
        dns=ports.dns,
        checks=checks,
        notifier=ports.notifier,
        engine=engine,
        evidence=FileEvidence(estate.estate, estate.certificates) if estate.certificates else None,
        audit=ports.audit,
        post_mortems=FilePostMortems(estate.estate, estate.post_mortems),
        pause=ports.pause,
        gather=evidence_gatherer(estate, ports.metrics, ports.audit).gather,
        probe=(lambda before: AvailabilityProber(checks, interval, before)) if checks else None,
    )


def _stop_on_signals(signals: Sequence[int] = (signal.SIGTERM, signal.SIGINT)) -> asyncio.Event:
    """An event that is set when the process is asked to stop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, stopping.set)
    return stopping
