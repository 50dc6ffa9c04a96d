"""A launch link as people put it somewhere: badges in five kinds of markup, and a QR code for slides."""

from __future__ import annotations

import html
import io
from typing import Final

BADGE: Final = "/badge_logo.svg"
ALT: Final = "Launch with repolaunch"
MARGIN: Final = 4
"""Modules of white around a QR code: what readers need."""
PNG_SCALE: Final = 12
"""Pixels of a module: sharp on a slide."""

_WORD: Final = r"\fbox{\textsf{\small launch \textbar{} repolaunch}}"
_LATEX = str.maketrans({one: f"\\{one}" for one in "%#&_{}$"} | {"~": r"\~{}", "^": r"\^{}"})


def badges(address: str, link: str) -> dict[str, str]:
    """The badge of a link at the site with this address, by markup."""
    image, target = address + BADGE, address + link
    markdown = target.replace("(", "%28").replace(")", "%29")
    return {
        "markdown": f"[![{ALT}]({image})]({markdown})",
        "rst": f".. image:: {image}\n   :target: {target}\n   :alt: {ALT}",
        "html": f'<a href="{html.escape(target)}"><img src="{html.escape(image)}" alt="{ALT}"></a>',
        "latex": f"\\href{{{target.translate(_LATEX)}}}{{{_WORD}}}",
        "org": f"[[{_org(target)}][{image}]]",
    }


def _org(target: str) -> str:
    return target.replace("[", "%5B").replace("]", "%5D")


def qr_code(text: str, form: str) -> bytes:
    """The text as a QR code: `svg` or `png`, black on white whatever surrounds it."""
    import segno  # noqa: PLC0415  # few people ask for one, and the service is to be small

    code, out = segno.make(text, error="m", micro=False), io.BytesIO()
    if form == "svg":
        code.save(out, kind="svg", border=MARGIN, light="#fff", xmldecl=False, omitsize=True, title=text)
    else:
        code.save(out, kind="png", border=MARGIN, scale=PNG_SCALE)
    return out.getvalue()
