"""OpenAPI 3.1, made from the table of routes and the schemas."""

from __future__ import annotations

import json
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from launcher.web import schemas
from launcher.web.handler import Handler
from launcher.web.routes import JSON, Operation, Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.web.context import Web


VERSION: Final = "1"
REF: Final = "#/components/schemas/{model}"
PARAMETERS: Final = {
    "provider": "`gh`, `gl`, `git`, …",
    "spec": "The rest of the launch link, as the provider writes it; it may hold slashes.",
    "id": "The launch's or project's id.",
    "rest": "The rest of the address.",
    "file": "The file's name.",
    "user": "A user of GitHub.",
    "repo": "A repository of that user.",
    "language": "`en` or `fr`.",
    "status": "The HTTP status that the proxy answers with.",
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole description."""
    models: dict[type[BaseModel], None] = {schemas.ErrorAnswer: None}
    for route in routes:
        for operation in route.operations:
            models |= {
                one: None
                for one in (operation.answer, operation.body)
                if isinstance(one, type) and issubclass(one, BaseModel)
            }
    counted = Counter(route.handler for route in routes)
    _, definitions = models_json_schema([(one, "serialization") for one in models], ref_template=REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "repolaunch", "version": VERSION, "license": {"name": "BSD-3-Clause"}},
        "paths": {route.path: _path(route, counted[route.handler]) for route in routes},
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of the hub, or the operator's."},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "repolaunch-login"},
                "hub": {"type": "http", "scheme": "bearer", "description": "The hub's own token."},
            },
        },
    }


def _path(route: Route, routes: int) -> dict[str, Any]:
    """`routes`: how many its handler has."""
    suffix = "" if routes == 1 else "_" + "".join(char for char in route.path if char.isalnum())
    return {one.method.lower(): _operation(route, one, suffix) for one in route.operations}


def _operation(route: Route, operation: Operation, suffix: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": f"{operation.method.lower()}{route.handler.__name__}{suffix}",
        "parameters": _parameters(route, operation),
        "responses": {str(operation.status): _answer(operation), "default": _error(operation.errors)},
    }
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(operation.body)}}}
    if operation.who == "login":
        found["security"] = [{"token": []}, {"cookie": []}]
    elif operation.who == "hub":
        found["security"] = [{"hub": []}]
    return found


def _parameters(route: Route, operation: Operation) -> list[dict[str, Any]]:
    inside = [
        {"name": one, "in": "path", "required": True, "description": PARAMETERS[one], "schema": {"type": "string"}}
        for one in route.names
    ]
    return inside + [
        {"name": name, "in": where, "required": False, "description": meaning, "schema": {"type": "string"}}
        for where, these in (("query", operation.query), ("header", operation.headers))
        for name, meaning in these
        if name != "Accept"  # OpenAPI ignores a parameter of this name
    ]


def _answer(operation: Operation) -> dict[str, Any]:
    description = HTTPStatus(operation.status).phrase
    if operation.status in {HTTPStatus.NO_CONTENT, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER}:
        return {"description": description}
    if isinstance(operation.answer, str):
        told = _TOLD if operation.status >= HTTPStatus.BAD_REQUEST else {}
        return {"description": description, "content": {operation.answer: {}, **told}}
    schema = _ref(operation.answer)
    if operation.many:
        schema = {"type": "array", "items": schema}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _error(codes: tuple[str, ...]) -> dict[str, Any]:
    which = f" Among others: {', '.join(codes)}." if codes else ""
    return {"description": f"What went wrong.{which}", "content": _TOLD}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": REF.format(model=model.__name__)}


_TOLD: Final = {"application/json": {"schema": _ref(schemas.ErrorAnswer)}, "text/html": {}}
"""An error as programs read it, and as a page for browsers."""


class OpenApi(Handler):
    """`/api/v1/openapi.json`."""

    any_site = True
    text: str

    def initialize(self, web: Web, document: dict[str, Any] | None = None) -> None:
        """`document`: made once, at start."""
        super().initialize(web)
        self.text = json.dumps(document or {})

    def get(self) -> None:
        """The description."""
        self.set_header("Content-Type", "application/json")
        self.finish(self.text)


ROUTES: Final[tuple[Route, ...]] = (
    Route("/api/v1/openapi.json", OpenApi, (Operation("GET", "This API, as OpenAPI 3.1.", JSON),)),
)
