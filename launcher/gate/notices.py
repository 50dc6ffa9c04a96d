"""An operator's own words on the pages: some HTML, of which nothing runs, loads or looks like something else.

The operator is trusted; what they paste need not be. What pages do not show is refused with its name, so that nobody
wonders where it went, and what remains is cleaned by a library that reads HTML as browsers do. The pages' content
security policy stands behind both.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Annotated, Final

from pydantic import AfterValidator, Field

TAGS: Final = frozenset({"a", "b", "br", "code", "em", "h2", "h3", "hr", "i", "li", "ol", "p", "pre", "strong", "ul"})
ATTRIBUTES: Final = {"a": {"href", "hreflang"}}
EVERYWHERE: Final = frozenset({"dir", "lang", "title"})
SCHEMES: Final = frozenset({"http", "https", "mailto"})
LONGEST: Final = 10_000


class _Look(HTMLParser):
    """Finds the first thing that pages do not show."""

    wrong = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self._say(f"<{tag}>")
        for name, value in attrs:
            if name not in ATTRIBUTES.get(tag, set()) | EVERYWHERE:
                self._say(f"{name}= of <{tag}>")
            elif name == "href" and ":" in (scheme := _before_path(value or "")) and not _known(scheme):
                self._say(f"the address {value}")

    def _say(self, what: str) -> None:
        self.wrong = self.wrong or what


def _before_path(address: str) -> str:
    return address.partition("/")[0]


def _known(scheme: str) -> bool:
    return scheme.partition(":")[0].strip().lower() in SCHEMES


def shown(text: str) -> str:
    """The HTML as pages show it. Raises ValueError with the name of what they do not."""
    if not text.strip():
        return ""
    look = _Look()
    look.feed(text)
    look.close()
    if look.wrong:
        known = ", ".join(f"<{tag}>" for tag in sorted(TAGS))
        raise ValueError(f"pages do not show {look.wrong}; they show text, {known}, and links to {_schemes()}")
    import nh3  # noqa: PLC0415  # most sites say nothing

    return nh3.clean(
        text,
        tags=set(TAGS),
        attributes={**ATTRIBUTES, "*": set(EVERYWHERE)},
        url_schemes=set(SCHEMES),
        link_rel="noopener noreferrer",
    )


def _schemes() -> str:
    return ", ".join(sorted(SCHEMES))


Html = Annotated[str, Field(max_length=LONGEST), AfterValidator(shown)]
"""Clean: it may stand in a page as it is."""
