"""How pages are made: one frame for all, in the reader's language, without a word of script."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from launcher import explain
from launcher.gate.policy import Pages
from launcher.web import texts
from launcher.web.handler import Handler

if TYPE_CHECKING:
    from launcher.events import Failed

TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def sentence(text: str) -> Markup:
    """A sentence in which `this` is code."""
    parts = [
        escape(part) if n % 2 == 0 else Markup("<code>{}</code>").format(part) for n, part in enumerate(text.split("`"))
    ]
    return Markup().join(parts)


def size(count: float) -> str:
    """A number of bytes as people say it."""
    unit = "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if count < 1024:  # noqa: PLR2004  # a unit has 1024 of the next smaller
            break
        count, unit = count / 1024, bigger
    return f"{count:.3g} {unit}"


def clean(html: str) -> Markup:
    """The operator's own words, as `launcher.gate.notices` has cleaned them."""
    return Markup(html)  # noqa: S704  # cleaned where it was read


TEMPLATES.filters |= {"sentence": sentence, "size": size, "clean": clean}


def render(handler: Any, name: str, **values: object) -> str:
    """A page for whoever asks this handler; `t` in it is a text of the catalogue."""
    language: str = handler.language
    who = getattr(handler, "who", None)
    about = {
        "language": language,
        "account": who.account if who else None,
        "languages": texts.LANGUAGES,
        "t": partial(texts.text, language),
        "base": handler.settings.get("base", ""),
        "styles": handler.settings.get("styles", ()),
        "said": handler.settings.get("said", Pages)(),
        # Queries may hold a session's token: only pages whose query is theirs say more.
        "here": handler.request.path,
    }
    return TEMPLATES.get_template(name).render(about | values)


def error_page(handler: Handler, told: Failed, login: str = "", action: str = "", action_text: str = "") -> str:
    """A page that tells what went wrong, and leads to the login or on."""
    if login:
        action, action_text = login, texts.text(handler.language, "error.login")
    told = explain.speak(told, handler.language)
    return render(handler, "error.html", title=told.title, told=told, action=action, action_text=action_text)


class HtmlPage(Handler):
    """What pages share."""

    def render_page(self, html: str, status: int = 200) -> None:
        """Answer with HTML."""
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Vary", "Accept-Language, Cookie")
        self.finish(html)
