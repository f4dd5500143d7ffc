"""There is no Docker engine in the tests: the file is held to the specification's schema."""

import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The compose specification's JSON schema, as the docker-compose package ships it."""
    for file in importlib.metadata.files("docker-compose") or ():
        if file.name == "compose_spec.json":
            found: dict[str, Any] = json.loads(file.read_text())
            return found
    pytest.fail("the docker-compose package came without compose_spec.json")


def test_docker_compose_file_then_it_fits_the_specification(
    compose: dict[str, Any], schema: dict[str, Any]
) -> None:
    jsonschema.Draft7Validator(schema).validate(compose)


@pytest.mark.parametrize(
    ("key", "value"),
    [("image", 5), ("ports", "8000"), ("no_such_key", "x"), ("depends_on", {"a": {}})],
)
def test_docker_compose_schema_with_a_broken_service_then_it_refuses(
    key: str, value: object, compose: dict[str, Any], schema: dict[str, Any]
) -> None:
    broken = {**compose, "services": {"worker": {"image": "failback", key: value}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(broken)


def test_docker_compose_services_then_every_reference_has_its_end(
    compose: dict[str, Any],
) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        shared = service.get("network_mode", "")
        assert not shared or shared.removeprefix("service:") in services
        volumes = [volume.partition(":")[0] for volume in service.get("volumes", ())]
        assert set(volumes) <= set(compose["volumes"])
        build = service.get("build")
        assert build is None or (ROOT / build["dockerfile"]).is_file()


def test_docker_compose_ports_then_they_are_published_on_loopback_alone(
    compose: dict[str, Any],
) -> None:
    published = [
        port for service in compose["services"].values() for port in service.get("ports", ())
    ]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_dockerfile_copies_then_each_path_is_in_the_build_context() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for sources in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists()
            assert source.split("/")[0] in allowed
