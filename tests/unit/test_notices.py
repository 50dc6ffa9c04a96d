"""An operator's words on the pages: what they may hold, and what is told of the rest."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from launcher.errors import PolicyBroken
from launcher.gate.notices import LONGEST, shown
from launcher.gate.reading import parse

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "given, page",
    [
        ("", ""),
        (" \n", ""),
        ("Closed tonight & tomorrow", "Closed tonight &amp; tomorrow"),
        ("a < b", "a &lt; b"),
        ('<P>Ask <a HREF="mailto:help@example.org">us</A>.</P>',
         '<p>Ask <a href="mailto:help@example.org" rel="noopener noreferrer">us</a>.</p>'),
        ('<a href="/about">a</a>', '<a href="/about" rel="noopener noreferrer">a</a>'),
        ('<a href="//x.example/a:b">a</a>', '<a href="//x.example/a:b" rel="noopener noreferrer">a</a>'),
        ('<strong lang="fr">Fermé</strong><br>', '<strong lang="fr">Fermé</strong><br>'),
        ("<ul><li>one<li>two", "<ul><li>one</li><li>two</li></ul>"),
        ("</div></main>x", "x"),
        ("x <!-- y -->", "x "),
    ],
)  # fmt: skip
def test_what_pages_show(given: str, page: str) -> None:
    assert shown(given) == page


@pytest.mark.parametrize(
    "given, wrong",
    [
        ("<script>alert(1)</script>", "<script>"),
        ("a<SCRIPT src=//x.example>", "<script>"),
        ("<img src=x onerror=alert(1)>", "<img>"),
        ("<style>* { display: none }</style>", "<style>"),
        ("<p style='color: red'>x</p>", "style= of <p>"),
        ("<b onclick='x()'>x</b>", "onclick= of <b>"),
        ("<a href='javascript:x()'>x</a>", "the address javascript:x()"),
        ("<a href='&#106;avascript:x()'>x</a>", "the address javascript:x()"),
        ("<a href=' data:text/html,x'>x</a>", "the address  data:text/html,x"),
        ("<a class=x>x</a>", "class= of <a>"),
        ("<form action=/><input></form>", "<form>"),
        ("<meta http-equiv=refresh content=0>", "<meta>"),
        ("<base href=//x.example>", "<base>"),
        ("<iframe src=/>", "<iframe>"),
        ("<svg><a href=x></svg>", "<svg>"),
        ("<div id=account>", "<div>"),
    ],
)
def test_what_they_do_not_is_refused_by_its_name(given: str, wrong: str) -> None:
    with pytest.raises(ValueError, match="pages do not show ") as told:
        shown(given)
    assert str(told.value).startswith(f"pages do not show {wrong}; they show text, <a>, <b>, ")


@pytest.mark.parametrize(
    "given",
    [
        "<<b>script>alert(1)</script>",
        "<b<script>alert(1)</script>",
        "<!--><script>alert(1)</script>-->",
        "<![CDATA[><script>alert(1)</script>]]>",
        "<a href='java\nscript:x()'>x</a>",
        "<a title='</a><script>x()</script>'>x</a>",
        "<?php <script>alert(1)</script> ?>",
        "<b/onclick=x()>x</b>",
        "</p/onclick=x()>x",
        "<pre>\n<textarea></pre><script>alert(1)</script>",
    ],
)
def test_what_is_read_in_more_than_one_way_is_refused_or_harmless(given: str) -> None:
    try:
        page = shown(given)
    except ValueError:
        return
    assert "<script" not in page.replace('title="&lt;/a&gt;&lt;script', "")
    assert "onclick=" not in page.partition(">")[0]
    assert "script:" not in page


def test_a_mistake_is_told_by_its_line() -> None:
    with pytest.raises(PolicyBroken) as told:
        parse("[launch]\n[pages]\nabout = 'well'\nbanner = '<img>'\n", ())
    assert (told.value.place, told.value.reason[:37]) == ("line 4", "pages.banner: pages do not show <img>")
    with pytest.raises(PolicyBroken, match="line 2"):
        parse(f"[pages]\nabout = '{'x' * (LONGEST + 1)}'\n", ())


def test_the_example_is_one() -> None:
    text = (ROOT / "docs/how-to/limits.md").read_text().partition("## Words of your own")[2]
    example = text.partition("```toml\n")[2].partition("```")[0]
    policy = parse(example, ())
    assert policy.pages.banner == tomllib.loads(example)["pages"]["banner"]
    assert "mailto:help@example.org" in policy.pages.about


def test_a_site_that_says_nothing_needs_no_library_for_it() -> None:
    code = "import sys; from launcher.gate.reading import parse; parse('', ()); assert 'nh3' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
