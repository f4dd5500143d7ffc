"""The Temporal client: TLS, API key, payload conversion and tracing in one place."""

import asyncio
from collections.abc import Sequence

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client, Interceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import Runtime
from temporalio.service import RPCError, TLSConfig

from failback.config import Estate
from failback.errors import UnreachableError
from failback.sections.servers import TemporalConfig

SEARCH_ATTRIBUTES = {
    "FailbackEstate": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "FailbackLevel": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "FailbackPhase": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "FailbackVerdict": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
}


async def connect(
    estate: Estate,
    *,
    interceptors: Sequence[Interceptor] = (),
    runtime: Runtime | None = None,
    identity: str | None = None,
    timeout_seconds: float = 5.0,
) -> Client:
    """Connect to the estate's Temporal.

    Args:
        estate: whose Temporal it is.
        interceptors: of the client, and of the workers that are made with it.
        runtime: with the metrics; the process's own where none is given.
        identity: what Temporal shows of this client; process and host unless told.
        timeout_seconds: how long Temporal may take to answer.

    Raises:
        UnreachableError: Temporal did not answer, or refused the certificate or key.
    """
    config = estate.temporal
    try:
        return await asyncio.wait_for(
            Client.connect(
                config.address,
                namespace=config.namespace,
                api_key=config.api_key.get_secret_value() if config.api_key else None,
                tls=_tls(config),
                data_converter=pydantic_data_converter,
                interceptors=interceptors,
                runtime=runtime,
                identity=identity,
            ),
            timeout_seconds,
        )
    except (TimeoutError, RuntimeError, RPCError) as error:
        raise UnreachableError(
            f"Temporal at {config.address} does not answer"
            f"{f': {error}' if str(error) else ' in time'}.",
            "Start it, or mend temporal.address; without Temporal traffic can still be moved "
            "by hand (docs/runbooks/worker-lost.md).",
        ) from error


def _tls(config: TemporalConfig) -> TLSConfig | bool:
    """TLS as configured; mutual when a client certificate is named."""
    if not (config.tls or config.client_cert or config.server_ca):
        return False

    return TLSConfig(
        server_root_ca_cert=config.server_ca.read_bytes() if config.server_ca else None,
        client_cert=config.client_cert.read_bytes() if config.client_cert else None,
        client_private_key=config.client_key.read_bytes() if config.client_key else None,
    )


async def ensure_search_attributes(client: Client) -> bool:
    """Register failback's search attributes where they are missing.

    Returns False where they are not there and we may not add them: rollbacks then run
    without them.
    """
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
        missing = {
            name: kind
            for name, kind in SEARCH_ATTRIBUTES.items()
            if name not in known.custom_attributes
        }
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError:
        return False
    return True
