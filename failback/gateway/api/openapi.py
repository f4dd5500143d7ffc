"""The API described for programs (OpenAPI 3.1), made from the same table as its routes."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib import metadata
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from failback.gateway.api.bodies import Problem
from failback.gateway.api.operations import Operation

_REF = "#/components/schemas/{model}"
_ALWAYS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_WITH_BODY = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)


def described(operations: Sequence[Operation], public_url: str = "") -> dict[str, Any]:
    """The description of every operation.

    Args:
        operations: the table.
        public_url: where clients reach the gateway; empty leaves servers out.
    """
    shapes: set[type[BaseModel]] = {Problem}
    for one in operations:
        shapes |= {shape for shape in (one.answer, one.body) if shape is not None}
    names, schemas = models_json_schema(
        [(shape, _mode(shape, operations)) for shape in sorted(shapes, key=lambda s: s.__name__)],
        ref_template=_REF,
    )
    refs: dict[Any, Any] = {shape: schema for (shape, _), schema in names.items()}
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, refs)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "failback",
            "version": metadata.version("failback"),
            "description": "Rollbacks, approvals, recoveries and their gates, alerts, events and "
            "readiness of one estate.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }
    if public_url:
        document["servers"] = [{"url": public_url}]
    return document


def _mode(shape: type[BaseModel], operations: Sequence[Operation]) -> Any:
    return "validation" if any(one.body is shape for one in operations) else "serialization"


def _operation(one: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    roles = ", ".join(sorted(one.roles))
    told: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": f"For tokens of the roles: {roles}.",
        "parameters": _parameters(one),
        "responses": {str(one.status.value): _content(one.status, refs[one.answer])},
        "x-roles": sorted(one.roles),
    }
    if one.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": refs[one.body]}},
        }
    refused = {*_ALWAYS, *one.refusals}
    if one.body is not None:
        refused |= set(_WITH_BODY)
    for status in sorted(refused):
        told["responses"][str(status.value)] = _content(
            status, refs[Problem], "application/problem+json"
        )
    return told


def _parameters(one: Operation) -> list[dict[str, Any]]:
    text = {"type": "string"}
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in re.findall(r"{(\w+)}", one.path)
    ]
    in_query = [
        {"name": name, "in": "query", "required": False, "description": told, "schema": text}
        for name, told in one.query.items()
    ]
    in_headers = [
        {"name": name, "in": "header", "required": True, "description": told, "schema": text}
        for name, told in one.headers.items()
    ]
    return [*in_path, *in_query, *in_headers]


def _content(
    status: HTTPStatus, schema: Any, media_type: str = "application/json"
) -> dict[str, Any]:
    return {"description": status.phrase, "content": {media_type: {"schema": schema}}}
