"""`python -m launcher.web.reference` writes docs/reference from the code; a test fails where the two differ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from launcher.gate.policy import Policy, ProviderPolicy
from launcher.settings import PREFIX, Settings
from launcher.web import launch_log
from launcher.web.app import ROUTES
from launcher.web.errors_page import error_texts
from launcher.web.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.web.routes import Operation, Route

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"
NOTE: Final = "<!-- Made by `python -m launcher.web.reference`; change the code, not this page. -->"
WHO: Final = {"anybody": "anybody", "login": "a person or a program that is known", "hub": "the hub alone"}
HTTP_INTRO: Final = """\
Everything is below the address of the service (`public_url`, which may have a path), and so are the paths in answers;
`url`, `session` and `login` are where browsers open them. How to log in, how to read event streams and what BinderHub's
clients find: [events and logins](events.md). The same as OpenAPI 3.1: `/api/v1/openapi.json`.

Every answer with a status of 400 or more is `{"error": {"code", "status", "title", "seen", "todo", "link"}}`
([errors](errors.md)), or a page where a browser asks for one. Where `GET` is listed, `HEAD` works too.
"""
ERRORS_INTRO: Final = """\
What can go wrong, by code. Codes stay; texts may change. `<name>` stands for what was seen. The launcher shows the same
list at `/docs/errors`, where the `link` of every error leads.
"""
METRICS_INTRO: Final = """\
`/metrics` in Prometheus's text format. Labels hold routes, stages and codes; what a visitor wrote is in `repo` alone,
and bounded (`metrics_repositories`): the addresses of repositories that everybody may have and that are launched most,
else `other`. `binderhub_…` are counted as BinderHub counts them, by its names, labels and buckets, so that dashboards
made for it go on working.
"""
LAUNCH_LOG_INTRO: Final = """\
For every launch that ended one line of JSON is written, and for every session one more, by BinderHub's schema, so that
what reads its event log goes on working: to `launcher/launches.jsonl` in the data folder, where 10 MiB begin a
new file and five older ones stay (setting `launch_log`). No line holds a name, a network address or a token. Lines by
BinderHub's schema are of repositories that everybody may have; of ours, those with `public: true`.
"""
PROVIDER: Final = "<provider>"
POLICY_INTRO: Final = """\
Who may what: a TOML file, `policy.toml` in the data folder or where the setting `policy_file` says. It is read again
within a few seconds of a change. What each means, with examples: [limits](../how-to/limits.md).
"""
SETTINGS_INTRO: Final = """\
In the settings file (TOML) by name, or as a variable of the environment, which wins. Lists in variables are separated
by commas. A setting that is unknown or cannot be stops the start with its name, its value and the reason.
"""


def http_md() -> str:
    """The HTTP interface."""
    parts = [_head("HTTP interface", HTTP_INTRO)]
    parts += [_route(route) for route in ROUTES]
    return "\n".join(parts)


def errors_md() -> str:
    """Errors."""
    parts = [_head("Errors", ERRORS_INTRO)]
    for one in error_texts():
        parts.append(f"## {one.code}\n\nStatus {one.status}. **{_escaped(one.title)}.**\n")
        parts.append(f"Seen: {_escaped(one.seen)}\n\nWhat to do: {_escaped(one.todo)}\n")
    return "\n".join(parts)


def metrics_md() -> str:
    """Metrics."""
    registry = Metrics().registry
    rows = [
        (f"`{_exposed(metric)}`", metric.type, _labels(registry, metric.name), metric.documentation)
        for metric in sorted(registry.collect(), key=lambda one: str(one.name))
    ]
    return _head("Metrics", METRICS_INTRO) + "\n" + _table(("name", "type", "labels", "meaning"), rows)


def policy_md() -> str:
    """The policy file."""
    parts = [_head("Policy", POLICY_INTRO)]
    for name, field in Policy.model_fields.items():
        title = f"providers.{PROVIDER}" if name == "providers" else name
        part = ProviderPolicy if name == "providers" else field.annotation
        parts.append(f"## `[{title}]`\n\n{field.description}\n")
        if isinstance(part, type) and issubclass(part, BaseModel):
            rows = [
                (f"`{key}`", _default(one.default) if one.default is not None else "all", str(one.description))
                for key, one in part.model_fields.items()
            ]
            parts.append(_table(("key", "default", "meaning"), rows))
    return "\n".join(parts)


def settings_md() -> str:
    """Settings."""
    rows = []
    for name, field in Settings.model_fields.items():
        rows.append((f"`{name}`", f"`{PREFIX}{name.upper()}`", _default(field.default), str(field.description)))
    return _head("Settings", SETTINGS_INTRO) + "\n" + _table(("name", "variable", "default", "meaning"), rows)


def launch_log_md() -> str:
    """The record of launches."""
    parts = [_head("Record of launches", LAUNCH_LOG_INTRO)]
    for schema in (launch_log.OWN, launch_log.BINDER):
        rows = [(f"`{name}`", _kind(one), one.get("description", "")) for name, one in schema["properties"].items()]
        parts.append(f"## {schema['$id']}\n\nVersion {schema['version']}. {schema['description']}\n")
        parts.append(_table(("field", "type", "meaning"), rows))
    return "\n".join(parts)


PAGES: Final = {
    "http.md": http_md,
    "errors.md": errors_md,
    "metrics.md": metrics_md,
    "launch-log.md": launch_log_md,
    "settings.md": settings_md,
    "policy.md": policy_md,
}


def _head(title: str, intro: str) -> str:
    return f"# {title}\n\n{NOTE}\n\n{intro}"


def _route(route: Route) -> str:
    return "\n".join(_operation(route, one) for one in route.operations)


def _operation(route: Route, operation: Operation) -> str:
    lines = [f"## {operation.method} `{route.path}`", "", operation.summary, ""]
    lines.append(f"- For: {WHO[operation.who]}")
    if operation.body is not None:
        lines.append(f"- Body: `{operation.body.__name__}`: {_fields(operation.body.model_fields)}")
    lines += [f"- Query `{name}`: {meaning}" for name, meaning in operation.query]
    lines += [f"- Header `{name}`: {meaning}" for name, meaning in operation.headers]
    lines.append(f"- Answer: {operation.status}{_answer(operation)}")
    if operation.errors:
        lines.append("- Errors: " + ", ".join(f"[{code}](errors.md#{code})" for code in operation.errors))
    return "\n".join([*lines, ""])


def _answer(operation: Operation) -> str:
    if isinstance(operation.answer, str):
        return f", `{operation.answer}`" if operation.answer and operation.status != 302 else ""  # noqa: PLR2004  # HTTP's own number
    many = "a list of " if operation.many else ""
    return f", {many}`{operation.answer.__name__}`: {_fields(operation.answer.model_fields)}"


def _fields(fields: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in fields)


def _exposed(metric: Any) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else str(metric.name)


def _labels(registry: Any, name: str) -> str:
    known = registry._names_to_collectors.get(name)  # noqa: SLF001  # the library keeps labels nowhere else
    return ", ".join(f"`{label}`" for label in getattr(known, "_labelnames", ()))


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(kinds)


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value) or "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value != "" else "empty"


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(_line(cells) for cells in lines)


def _line(cells: Sequence[str]) -> str:
    inside = " | ".join(cell.replace("|", r"\|") for cell in cells)
    return f"| {inside} |\n"


def main(folder: Path = FOLDER) -> None:
    """Write all pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"wrote {folder / name}\n")


if __name__ == "__main__":
    main()
