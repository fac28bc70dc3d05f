"""/openapi.json: exactly the calls there are, in the shape that OpenAPI 3.1 asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.api.app import admin_app
from gateway.api.routes import ROUTES
from tests.api.conftest import Api


@pytest.fixture
async def description(api: Api) -> dict[str, Any]:
    reply = await api.get("/openapi.json")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("application/json")
    document: dict[str, Any] = reply.document
    return document


def _operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in description["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def _values(document: Any, name: str) -> Iterator[Any]:
    if isinstance(document, dict):
        for key, value in document.items():
            if key == name:
                yield value
            yield from _values(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from _values(value, name)


async def test_it_lists_exactly_the_calls_that_are_served(description: dict[str, Any], api: Api) -> None:
    described = {(method, path) for method, path, _ in _operations(description)}
    served = {
        (route.method, re.sub(r":[^{}]*}", "}", route.resource.canonical))  # type: ignore[union-attr]
        for route in _served(api)
        if route.method != "HEAD"
    }
    assert described == {(route.method, route.path) for route in ROUTES}
    assert len(described) == len(ROUTES)
    assert described == served


def _served(api: Api) -> list[Any]:
    return list(admin_app(api.services).router.routes())


async def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    references = [each for each in _values(description, "$ref") if isinstance(each, str)]
    assert references
    for reference in references:
        prefix, _, name = reference.rpartition("/")
        assert prefix == "#/components/schemas"
        assert name in schemas, reference


async def test_every_schema_is_used_and_valid(description: dict[str, Any]) -> None:
    used = {str(each).rpartition("/")[2] for each in _values(description, "$ref")}
    for name, schema in description["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert name in used, name
        assert re.fullmatch(r"[A-Za-z0-9.]+", name), name


async def test_it_has_the_shape_of_openapi_3_1(description: dict[str, Any]) -> None:
    assert description["openapi"].startswith("3.1.")
    assert description["info"]["title"]
    assert description["info"]["version"]
    operation_ids = [operation["operationId"] for _, _, operation in _operations(description)]
    assert len(set(operation_ids)) == len(operation_ids)
    for method, path, operation in _operations(description):
        in_path = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path)), path
        for parameter in operation["parameters"]:
            assert parameter["in"] in ("path", "query", "header")
            assert isinstance(parameter["required"], bool)
            Draft202012Validator.check_schema(parameter["schema"])
        assert operation["summary"]
        assert all(each["description"] for each in operation["responses"].values()), (method, path)
        assert ("requestBody" in operation) == (method in ("POST", "PUT", "PATCH")), (method, path)


async def test_every_call_but_the_four_says_that_it_needs_the_key(description: dict[str, Any]) -> None:
    assert description["components"]["securitySchemes"]["apiKey"] == {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
    }
    for _, path, operation in _operations(description):
        assert ("security" in operation) == path.startswith("/v1/"), path


async def test_it_describes_what_is_taken_and_answered(description: dict[str, Any]) -> None:
    put = description["paths"]["/v1/sources/{name}"]["put"]
    assert put["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/SourceBody"}
    assert put["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Source"}
    assert "application/problem+json" in put["responses"]["default"]["content"]
    assert "201" in description["paths"]["/v1/keys"]["post"]["responses"]
    assert "204" in description["paths"]["/v1/keys/{id}"]["delete"]["responses"]
    assert "text/csv" in description["paths"]["/v1/crosswalk/{kind}/import"]["post"]["requestBody"]["content"]
    queried = {each["name"] for each in description["paths"]["/v1/deliveries"]["get"]["parameters"]}
    assert {"state", "target", "event", "reason", "campaign", "contact", "source", "doubted", "from", "to"} <= queried
    assert {"limit", "cursor", "X-Workspace"} <= queried


async def test_a_policy_in_force_and_a_patch_fit_their_schemas(description: dict[str, Any], api: Api) -> None:
    schema = {"$ref": "#/components/schemas/PoliciesDocument", "components": description["components"]}
    Draft202012Validator(schema).validate((await api.get("/v1/workspace")).document)
    patch = Draft202012Validator({**schema, "$ref": "#/components/schemas/PoliciesPatch"})
    assert patch.is_valid({"companyName": None, "messageSync": None})
    assert not patch.is_valid({"inDoubt": "hold"})
    assert not patch.is_valid({"bogus": 1})
