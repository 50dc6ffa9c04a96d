"""What a person pasted, whatever it is: an address, a page with a file in it, an id, a badge, a command."""

from __future__ import annotations

import html
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qs, quote, unquote

from launcher.errors import BadUrl
from launcher.repos import urls
from launcher.repos.providers import PROVIDERS, SITES, parse_spec, parse_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.model import RepoRef
    from launcher.repos.provider import Sites

LONGEST: Final = 8000
"""Characters of what is pasted: a badge in a table of badges, not a README."""

_FULL = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LAUNCH = re.compile(r"/v2/(?:" + "|".join(PROVIDERS) + r")/[^?#]+")
_ADDRESS = re.compile(r"https?://[^\s\"'<>()\[\]{}|\\^`]+")
_PICTURE = re.compile(r"(?i)\.(?:svg|png|gif|jpe?g|webp)(?:[?#].*)?$|^https?://img\.shields\.io/")
_MARKUP = re.compile(r"[\s\"'<>()\[\]{}\\^`]")
_BLANK = re.compile(r"https?://(?:(?!https?://)[^\"'<>()\[\]{}\\^`\n])*")
"""An address with a space in it: half of it may be another repository's."""
_LATEX = re.compile(r"\\([%_#&~{}$])")
_SHORT = re.compile(r"(?P<repo>[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100})(?:@(?P<ref>[^\s@]+))?")
_CUTS: Final = 3
"""In so many other places a branch's name is taken to end: each is a question to the host."""
_ARRIVE_AT_FILE: Final = "doc/tree/"
_FILE = re.compile(r"(?i)\.(?:ipynb|py|md|myst|rst|rmd|qmd|r|jl|txt|csv|tsv|json|ya?ml)$")


@dataclass(frozen=True, slots=True)
class Recognised:
    """A reference, and where in a session to arrive (`doc/tree/<file>`, `lab/tree/<folder>`); `""`: nothing says."""

    ref: RepoRef
    urlpath: str = ""
    page: str = ""
    """Branch and path as a page's address has them, where it is not told where the branch's name ends."""

    @property
    def moves(self) -> bool | None:
        """Whether the link may lead to something else tomorrow; None: only its provider knows."""
        return may_move(self.ref)


def may_move(ref: RepoRef) -> bool | None:
    """Whether a reference may lead to something else tomorrow; None: only its provider knows."""
    if not PROVIDERS[ref.provider].is_record:
        return _FULL.fullmatch(ref.ref.lower()) is None
    fixed = {"swh": r".*", "figshare": r".*\.v[0-9]+", "ckan": r".*activity_id.*"}
    known = re.fullmatch(fixed[ref.provider], ref.spec) if ref.provider in fixed else None
    return False if known else None


def recognise(text: str, ref: str = "", sites: Sites = SITES) -> Recognised:
    """Read what was pasted; `ref` wins over one in it. Raises as parse_url; BadUrl says what else is wrong."""
    text = text.strip()
    if len(text) > LONGEST:
        raise BadUrl(urls.redact(text[:100]) + "…", f"it is longer than {LONGEST} characters")
    command = _command(text)
    if command is not None:
        text, ref = command[0], ref or command[1]
    elif _MARKUP.search(text) and not _BLANK.fullmatch(text) and not urls.is_of_other_scheme(text):
        text = _inside(text)
    if len(text) > urls.LONGEST:
        raise BadUrl(urls.redact(text[:100]) + "…", f"it is longer than {urls.LONGEST} characters")
    read = _page(text)
    if ref and read.page.startswith(f"{ref}/"):
        kind = _ARRIVE_AT_FILE if read.path else "lab/tree/"
        read = _Read(read.address, kind + read.page.removeprefix(f"{ref}/"), ref)
    return Recognised(parse_url(read.address, ref or read.ref, sites), read.path, "" if ref else read.page)


def folders(found: Recognised, sites: Sites = SITES) -> list[Recognised]:
    """How else the address of a page may be meant: pages do not tell where a branch's name ends.

    Git has no branch `a` beside a branch `a/b`: of the ways at most one is a branch, whichever is tried first.
    """
    ref, parts = found.ref, (found.page or found.ref.ref).split("/")
    repository = ref.spec.removesuffix(quote(ref.ref, safe="/"))
    if repository == ref.spec:
        return []
    of_file = bool(found.page) and ref.ref != found.page
    kind, first = (_ARRIVE_AT_FILE, 2) if of_file else ("lab/tree/", 1)
    guessed = kind + found.page.partition("/")[2] if of_file else ""
    return [
        Recognised(
            parse_spec(ref.provider, repository + quote("/".join(parts[:cut]), safe="/"), sites),
            kind + "/".join(parts[cut:]) if found.urlpath == guessed else found.urlpath,
        )
        for cut in range(first, min(len(parts), first + _CUTS))
    ]


# --------------------------------------------------------------------------- commands and markup
def _command(text: str) -> tuple[str, str] | None:
    """The address and the branch of `git clone …`."""
    if not re.match(r"(?:\$\s*)?git\s+clone\s", text):
        return None
    try:
        words = shlex.split(text.removeprefix("$"))[2:]
    except ValueError as error:
        raise BadUrl(urls.redact(text), "its quotation marks do not match") from error
    ref, rest = "", iter(words)
    for word in rest:
        if word in {"-b", "--branch"}:
            ref = next(rest, "")
        elif word.startswith("--branch="):
            ref = word.partition("=")[2]
        elif not word.startswith("-") and not word.isdigit():
            return word, ref
    raise BadUrl(urls.redact(text), "it names no repository")


def _inside(text: str) -> str:
    """The one launch link, else the one address, in Markdown, reStructuredText, HTML, LaTeX, org-mode or a sentence."""
    plain = html.unescape(_LATEX.sub(r"\1", text))
    found = dict.fromkeys(str(one).rstrip(".,;:!") for one in _ADDRESS.findall(plain))
    links = [one for one in found if _LAUNCH.search(one)] or [one for one in found if not _PICTURE.search(one)]
    if not links:
        return text
    if len(links) > 1:
        raise BadUrl(urls.redact(text[:200]), f"it holds {len(links)} links: paste one of them")
    return links[0]


# --------------------------------------------------------------------------- pages
class _Read(NamedTuple):
    """The address of a repository or a launch link, where in a session to arrive, and the reference that is named."""

    address: str
    path: str = ""
    ref: str = ""
    page: str = ""


def _page(text: str) -> _Read:
    if short := _SHORT.fullmatch(text):
        return _Read(f"https://github.com/{short['repo']}", "", short["ref"] or "")
    for pattern, read in _READERS:
        if match := pattern.fullmatch(text):
            return read(match)
    return _Read(text)


def _query(text: str) -> dict[str, str]:
    return {str(name): str(values[0]) for name, values in parse_qs(text).items()}


def _launch_link(match: re.Match[str]) -> _Read:
    asked = _query(match["query"] or "")
    return _Read(match["link"], arrival(*(asked.get(way, "") for way in ("urlpath", "labpath", "filepath"))))


def arrival(urlpath: str, labpath: str = "", filepath: str = "") -> str:
    """Where in a session the three ways of BinderHub's links lead."""
    if labpath:
        return f"doc/tree/{labpath.lstrip('/')}"
    return f"tree/{filepath.lstrip('/')}" if filepath else urlpath.lstrip("/")


def _legacy(match: re.Match[str]) -> _Read:
    return _Read(f"https://github.com/{match['repo']}", _query(match["query"] or "").get("urlpath", ""))


def _git_pull(match: re.Match[str]) -> _Read:
    """A link of nbgitpuller: it puts the repository into a folder of its name, which is the workspace here."""
    asked = _query(match["query"])
    repo = asked.get("repo", "")
    name = repo.rstrip("/").rpartition("/")[2].removesuffix(".git")
    way, _, inside = asked.get("urlpath", "").partition(f"/tree/{name}/")
    file = inside or asked.get("subPath", "") or asked.get("subpath", "")
    kind = "doc/tree/" if way.startswith("lab") or not way else f"{way}/tree/"
    return _Read(repo, f"{kind}{file}" if file else "", asked.get("branch", ""))


def _viewed(match: re.Match[str]) -> _Read:
    """A viewer's page of what GitHub has: the same as GitHub's own page."""
    return _page(f"https://{'gist.' if match['what'] == 'gist' else ''}github.com/{match['rest']}")


def _file_at(match: re.Match[str]) -> _Read:
    """A file's page: its branch is taken to be one part, as most are."""
    return _file_page(match["repo"], unquote(match["ref"]), unquote((match["path"] or "").strip("/")))


def _file_page(repository: str, ref: str, path: str) -> _Read:
    open_end = path and not _FULL.fullmatch(ref)
    return _Read(repository, _ARRIVE_AT_FILE + path if path else "", ref, f"{ref}/{path}" if open_end else "")


def _tree_at(match: re.Match[str]) -> _Read:
    """A page of a branch, and maybe of a folder or file in it: which part is the branch is not told."""
    whole = unquote(match["rest"].strip("/"))
    first, _, path = whole.partition("/")
    if path and _FILE.search(path):
        return _file_page(match["repo"], first, path)
    if path and _FULL.fullmatch(first):
        return _Read(match["repo"], f"lab/tree/{path}", first)
    return _Read(match["repo"], "", whole, whole if path else "")


_TAIL: Final = r"(?:[?#].*)?"
_SITE: Final = r"https?://[^/?#]+"
_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], _Read]], ...] = (
    (re.compile(rf"(?P<link>(?:{_SITE}(?:/[^?#]*)?)?{_LAUNCH.pattern})(?:\?(?P<query>[^#]*))?(?:#.*)?"), _launch_link),
    (re.compile(rf"{_SITE}(?:/[^?#]*)?/git-pull\?(?P<query>[^#]*)(?:#.*)?"), _git_pull),
    (
        re.compile(r"https?://mybinder\.org/repo/(?P<repo>[^/?#]+/[^/?#]+)[^?#]*(?:\?(?P<query>[^#]*))?.*"),
        _legacy,
    ),
    (
        re.compile(
            r"https?://(?:(?:www\.)?nbviewer\.(?:org|jupyter\.org)|colab\.research\.google\.com|github\.dev|"
            r"vscode\.dev)/(?P<what>github|gist)/(?P<rest>.+)"
        ),
        _viewed,
    ),
    (
        re.compile(
            r"https?://raw\.githubusercontent\.com/(?P<repo>[^/?#]+/[^/?#]+)/(?:refs/(?:heads|tags)/)?"
            rf"(?P<ref>[^/?#]+)(?P<path>/[^?#]*)?{_TAIL}"
        ),
        lambda match: (found := _file_at(match))._replace(address=f"https://github.com/{found.address}"),
    ),
    (
        re.compile(
            rf"(?P<repo>(?:{_SITE}|(?:www\.)?github\.com)/[^/?#]+/[^/?#]+)/(?:blob|raw|blame|edit)/"
            rf"(?P<ref>[^/?#]+)(?P<path>/[^?#]*)?{_TAIL}"
        ),
        _file_at,
    ),
    (
        re.compile(rf"(?P<repo>(?:https?://)?(?:www\.)?github\.com/[^/?#]+/[^/?#]+)/tree/(?P<rest>[^?#]+){_TAIL}"),
        _tree_at,
    ),
    (
        re.compile(rf"(?P<repo>{_SITE}/[^?#]+?)/-/(?:blob|raw|blame)/(?P<ref>[^/?#]+)(?P<path>/[^?#]*)?{_TAIL}"),
        lambda match: _with_git(_file_at(match)),
    ),
    (
        re.compile(rf"(?P<repo>{_SITE}/[^?#]+?)/-/(?:tree|tags|commits?)/(?P<rest>[^?#]+){_TAIL}"),
        lambda match: _with_git(_tree_at(match)),
    ),
    (
        re.compile(
            rf"(?P<repo>{_SITE}/[^/?#]+/[^/?#]+)/(?:src|raw|commits)/(?:branch|tag|commit)/(?P<rest>[^?#]+){_TAIL}"
        ),
        lambda match: _with_git(_tree_at(match)),
    ),
    (re.compile(rf"(?P<repo>https?://bitbucket\.org/[^/?#]+/[^/?#]+)/src/(?P<rest>[^?#]+){_TAIL}"), _tree_at),
)
"""Pages in their forms: the first that fits. GitLab and Forgejo run anywhere: forms are known, not names."""


def _with_git(found: _Read) -> _Read:
    """With the `.git` that such hosts clone from without a redirect."""
    return found._replace(address=found.address.removesuffix(".git") + ".git")
