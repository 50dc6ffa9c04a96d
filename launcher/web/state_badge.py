"""`/badge/state/<provider>/<spec>.svg`: a badge that says where a link stands. It asks no host and starts nothing."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from launcher.errors import LauncherError
from launcher.events import State
from launcher.standings import Standing
from launcher.web.handler import Handler
from launcher.web.routes import SVG, Operation, Route

if TYPE_CHECKING:
    from launcher.model import RepoRef

PREFIX: Final = "/badge/state/"
LABEL: Final = "repolaunch"
KEPT_S: Final = 60
"""Seconds that browsers, and those who fetch pictures for others, keep it."""
PINNINGS: Final = {"reproducible": "reproducible", "locked": "locked", "not-pinned": "not pinned"}
COLOURS: Final = {
    "reproducible": "#1f7a4d",
    "locked": "#1f7a4d",
    "ready": "#1f7a4d",
    "not pinned": "#8a5a00",
    "building": "#1a56c4",
    "failed": "#b3261e",
    "unknown": "#565e6c",
}
"""Every state, and what it is written on: white letters have a contrast of at least 4.5 on each."""
_LETTER: Final = 6.6
"""Pixels of a letter, on average, at 11 pixels of height."""
_SVG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" viewBox="0 0 {width} 20" role="img" '
    'aria-label="{label}: {state}">\n<title>{label}: {state}</title>\n'
    '<clipPath id="edge"><rect width="{width}" height="20" rx="4"/></clipPath>\n<g clip-path="url(#edge)">\n'
    '<rect width="{left}" height="20" fill="#2b303b"/>\n'
    '<rect x="{left}" width="{right}" height="20" fill="{colour}"/>\n</g>\n'
    '<g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">\n'
    '<text x="6" y="14" textLength="{label_width}" lengthAdjust="spacingAndGlyphs">{label}</text>\n'
    '<text x="{state_x}" y="14" textLength="{state_width}" lengthAdjust="spacingAndGlyphs">{state}</text>\n'
    "</g>\n</svg>\n"
)


def state_of(standing: Standing) -> str:
    """The word on the badge."""
    if standing.ended is State.READY:
        return PINNINGS.get(standing.pinning, "ready")
    if standing.running:
        return "building"
    return "failed" if standing.ended is State.FAILED else "unknown"


@cache
def svg(state: str) -> str:
    """The badge of a state. Nothing that a stranger wrote is in it."""
    label_width, state_width = (round(len(text) * _LETTER) for text in (LABEL, state))
    left, right = label_width + 12, state_width + 12
    widths = {"label_width": label_width, "state_width": state_width, "left": left, "right": right}
    return _SVG.format(width=left + right, state_x=left + 6, colour=COLOURS[state], label=LABEL, state=state, **widths)


class StateBadge(Handler):
    """Answers also for what is no link: a page with a wrong badge shows one that says so, not a broken picture."""

    any_site = True

    def get(self, provider: str, _spec: str) -> None:
        """The badge."""
        raw = self.request.path.removeprefix(f"{PREFIX}{provider}/").removesuffix(".svg")
        ref = self._ref(provider, raw)
        state = state_of(self.web.launches.standings.of(ref) if ref else Standing())
        self.set_header("Content-Type", "image/svg+xml")
        self.set_header("Cache-Control", f"public, max-age={KEPT_S}, must-revalidate")
        self.finish(svg(state))

    def _ref(self, provider: str, raw: str) -> RepoRef | None:
        try:
            return self.web.links.parse_spec(provider, raw)
        except LauncherError:
            return None


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "/badge/state/{provider}/{spec}",
        StateBadge,
        (
            Operation(
                "GET",
                "Badge that says where a link stands, by its launches here: `reproducible`, `locked`, `not pinned` or "
                "`ready`, `building`, `failed`, `unknown`. The address ends in `.svg`. Starts nothing.",
                SVG,
            ),
        ),
    ),
)
