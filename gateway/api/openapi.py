"""The OpenAPI 3.1 description, made from the routes and the models they name (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from gateway.api.authentication import DEFAULT_WORKSPACE, KEY_HEADER, WORKSPACE_HEADER
from gateway.api.documents import Problem
from gateway.api.problems import CONTENT_TYPE as PROBLEM_TYPE
from gateway.api.routing import Route

_REFERENCE = "#/components/schemas/{model}"
_SECURITY = "apiKey"
#: A model and how it is used → the reference to its schema.
_Models = Mapping[Any, Mapping[str, Any]]


class _Untitled(GenerateJsonSchema):
    """Members go by their names alone."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: a title made from a name says nothing."""
        return False


def openapi(routes: Sequence[Route], *, version: str) -> dict[str, Any]:
    """The description of exactly these routes."""
    wanted = [(route.body, "validation") for route in routes if _is_model(route.body)]
    wanted += [(model, "serialization") for route in routes for model in (route.answer,) if model is not None]
    wanted += [(route.query, "validation") for route in routes]
    wanted.append((Problem, "serialization"))
    models, definitions = models_json_schema(_distinct(wanted), ref_template=_REFERENCE, schema_generator=_Untitled)
    schemas = definitions.get("$defs", {})
    queries = {route.query: schemas[_name(models[route.query, "validation"])] for route in routes}
    for query in queries:
        schemas.pop(_name(models[query, "validation"]), None)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, models, queries[route.query])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Campaign event gateway", "version": version, "summary": "The management API."},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {_SECURITY: {"type": "apiKey", "in": "header", "name": KEY_HEADER}},
        },
    }


def _operation(route: Route, models: _Models, query: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": to_camel(route.handler.__name__),
        "summary": route.summary,
        "tags": [route.path.removeprefix("/v1/").split("/")[0].strip("/")],
        "parameters": [*_path_parameters(route), *_query_parameters(query), *_headers(route)],
        "responses": _responses(route, models),
    }
    if route.scope is not None:
        operation["security"] = [{_SECURITY: []}]
        operation["description"] = f"Needs the scope `{route.scope}`" + (
            "." if route.in_workspace else " and a key that reaches all workspaces."
        )
    if route.body is not None:
        schema = models[route.body, "validation"] if _is_model(route.body) else {"type": "string"}
        operation["requestBody"] = {"required": True, "content": {route.body_type: {"schema": schema}}}
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"} | ({"enum": list(route.choices[name])} if name in route.choices else {}),
        }
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameters(query: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = query.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _present(member)}
        for name, member in query.get("properties", {}).items()
    ]


def _present(member: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a parameter that is there: where it may be absent, the model says null."""
    choices = [choice for choice in member.get("anyOf", ()) if choice != {"type": "null"}]
    return choices[0] if len(choices) == 1 else member


def _headers(route: Route) -> list[dict[str, Any]]:
    if route.scope is None or not route.in_workspace:
        return []
    schema = {"type": "string", "default": DEFAULT_WORKSPACE}
    return [{"name": WORKSPACE_HEADER, "in": "header", "required": False, "schema": schema}]


def _responses(route: Route, models: _Models) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if route.answer is not None:
        content = {"application/json": {"schema": models[route.answer, "serialization"]}}
        responses[str(route.status.value)] = {"description": _first_line(route.answer), "content": content}
    elif route.answer_type is not None:
        content = {route.answer_type: {"schema": {}}}
        responses[str(route.status.value)] = {"description": route.summary, "content": content}
    else:
        responses[str(HTTPStatus.NO_CONTENT.value)] = {"description": "Done."}
    problem = {PROBLEM_TYPE: {"schema": models[Problem, "serialization"]}}
    responses["default"] = {"description": _first_line(Problem), "content": problem}
    return responses


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rsplit("/", 1)[-1]


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or model.__name__).strip().splitlines()[0]


def _is_model(body: type[BaseModel] | type[bytes] | None) -> bool:
    return body is not None and issubclass(body, BaseModel)


def _distinct(wanted: list[Any]) -> list[tuple[type[BaseModel], JsonSchemaMode]]:
    return list(dict.fromkeys(wanted))
