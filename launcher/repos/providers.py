"""Launch paths and pasted addresses become `RepoRef`s: a table of providers and one function for each.

A canonical spec is what BinderHub writes: gh `user/repo/ref`, gl `<quoted namespace>/ref`, git `<quoted url>/ref`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from launcher.errors import BadRef, BadSpec, BadUrl, UnknownProvider
from launcher.model import RepoRef
from launcher.repos import no_repository, urls
from launcher.repos.provider import Provider, Sites
from launcher.repos.records import links
from launcher.repos.records.rows import ROWS
from launcher.repos.refs import check_ref

if TYPE_CHECKING:
    from collections.abc import Callable

SITES = Sites()


def parse_spec(provider: str, spec: str, sites: Sites = SITES) -> RepoRef:
    """Read the rest of a launch path, still percent-encoded.

    Raises UnknownProvider, BadSpec, BadUrl, BadRef, ProtocolRefused.
    """
    row = PROVIDERS.get(provider)
    if row is None:
        raise UnknownProvider(provider, tuple(sorted(PROVIDERS)))
    try:
        repository, url, ref = row.parse(spec, sites)
    except ValueError as error:
        raise BadSpec(provider, urls.redact(spec), row.form, str(error)) from None
    return RepoRef(provider, repository, url, "") if row.is_record else _reference(provider, repository, url, ref)


def parse_url(url: str, ref: str = "", sites: Sites = SITES) -> RepoRef:
    """Read what a person pasted: a git address, a page of GitHub or GitLab, a DOI or a record, or a launch link.

    `ref` wins over one in the address. Raises as parse_spec.
    """
    text = url.strip()
    if launch := _launch_link(text):
        found = parse_spec(launch["provider"], launch["spec"], sites)
    elif record := _record(text, sites.protocols):
        found = parse_spec(*record, sites)
    elif page := next((one for site in SITE_PAGES if (one := _page(site, text, sites))), None):
        found = page
    else:
        no_repository.check_file(text)
        address = str(urls.split(text, sites.protocols))
        found = _reference("git", quote(address, safe=""), address, "")
    if not ref.strip():
        return found
    if PROVIDERS[found.provider].is_record:
        raise BadRef(ref.strip(), "a record has no branches; leave this empty, and give the DOI of the version")
    repository = found.spec.removesuffix("/" + quote(found.ref or "HEAD", safe="/"))
    return _reference(found.provider, repository, found.url, ref.strip())


def _record(text: str, protocols: tuple[str, ...]) -> tuple[str, str] | None:
    """The provider and the spec of a record. Raises what says that the text is neither that nor a repository."""
    no_repository.check(text, protocols)
    return links.pasted(text)


def _reference(provider: str, repository: str, url: str, ref: str) -> RepoRef:
    ref = check_ref(ref)
    return RepoRef(provider, f"{repository}/{quote(ref or 'HEAD', safe='/')}", url, ref)


# --------------------------------------------------------------------------- launch paths
def _parse_gh(spec: str, sites: Sites) -> tuple[str, str, str]:
    user, _, rest = spec.partition("/")
    repo, _, ref = rest.partition("/")
    name = _github_name(urls.decode(user), urls.decode(repo))
    return name, f"{sites.github}/{name}", _ref(ref)


def _parse_gl(spec: str, sites: Sites) -> tuple[str, str, str]:
    quoted, _, ref = spec.partition("/")
    namespace = _gitlab_name(urls.decode(quoted))
    return quote(namespace, safe=""), f"{sites.gitlab}/{namespace}.git", _ref(ref)


def _parse_gist(spec: str, sites: Sites) -> tuple[str, str, str]:
    user, _, rest = spec.partition("/")
    gist, _, ref = rest.partition("/")
    name = _gist_name(urls.decode(user), urls.decode(gist))
    return name, f"{sites.gist}/{name}.git", _ref(ref)


def _parse_git(spec: str, sites: Sites) -> tuple[str, str, str]:
    quoted, _, ref = spec.partition("/")
    if quoted.endswith(":") or not quoted:
        msg = "the repository's address has to be percent-encoded as a whole"
        raise ValueError(msg)
    address = str(urls.split(urls.decode(quoted), sites.protocols))
    return quote(address, safe=""), address, _ref(ref)


def _ref(raw: str) -> str:
    return urls.decode(raw.removesuffix("/"))


def _github_name(user: str, repo: str) -> str:
    repo = repo.removesuffix(".git")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", user):
        msg = "the user's name is missing or is none that GitHub gives"
        raise ValueError(msg)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", repo) or repo in {".", ".."}:
        msg = "the repository's name is missing or is none that GitHub gives"
        raise ValueError(msg)
    return f"{user}/{repo}"


def _gist_name(user: str, gist: str) -> str:
    _github_name(user, "any")
    if not re.fullmatch(r"[0-9a-f]{20}|[0-9a-f]{32}|[0-9]{1,10}", gist.removesuffix(".git")):
        msg = "the gist's id is missing or is none that GitHub gives"
        raise ValueError(msg)
    return f"{user}/{gist.removesuffix('.git')}"


def _gitlab_name(namespace: str) -> str:
    parts = namespace.strip("/").removesuffix(".git").split("/")
    if len(parts) < 2:  # noqa: PLR2004  # a group and a project
        msg = "group and project have to be one part: write the / between them as %2F"
        raise ValueError(msg)
    if not all(re.fullmatch(r"[\w][\w.+-]*", part) for part in parts):
        msg = "the group or the project has a name that GitLab does not give"
        raise ValueError(msg)
    return "/".join(parts)


# --------------------------------------------------------------------------- pasted addresses
_LAUNCH = re.compile(r"(?P<site>https?://[^/?#]+(?:/[^?#]*)?)?/v2/(?P<provider>[a-z]+)/(?P<spec>[^?#]+)(?:[?#].*)?")
_HOST_FIRST = re.compile(r"(?:https?://)?(?:www\.)?(?P<rest>[^?#]*)(?:[?#].*)?")


def _launch_link(text: str) -> re.Match[str] | None:
    """A whole launch link, of this site or of any other of the kind."""
    match = _LAUNCH.fullmatch(text)
    if match is None or (match["site"] and match["provider"] not in PROVIDERS):
        return None
    return match


def _page(provider: str, text: str, sites: Sites) -> RepoRef | None:
    """The repository that a page of such a site, or an address to clone from it, belongs to."""
    site, read = SITE_PAGES[provider]
    host = site(sites).partition("://")[2]
    match = _HOST_FIRST.fullmatch(text)
    rest = match["rest"] if match else ""
    for prefix in (f"git@{host}:", f"ssh://git@{host}/"):
        if text.startswith(prefix):
            rest = f"{host}/{text.removeprefix(prefix)}"
    if not rest.lower().startswith(host.lower() + "/"):
        return None
    path = rest[len(host) + 1 :].strip("/")
    try:
        repository, ref = read(path)
        spec = quote(repository, safe="" if PROVIDERS[provider].url_encode else "/")
        return parse_spec(provider, f"{spec}/{ref}", sites)
    except ValueError as error:
        raise BadUrl(urls.redact(text), str(error)) from None
    except BadSpec as error:
        raise BadUrl(urls.redact(text), error.reason) from None


def _github_page(path: str) -> tuple[str, str]:
    parts = path.split("/")
    repository, rest = "/".join(parts[:2]), parts[2:]
    match rest:
        case []:
            return repository, ""
        case ["tree", *ref] if ref:
            return repository, "/".join(ref)
        case ["blob" | "raw" | "blame" | "edit" | "commits", ref, *_] | ["commit", ref]:
            return repository, ref
        case ["releases", "tag", *ref] if ref:
            return repository, "/".join(ref)
    msg = f"the page /{'/'.join(rest)} is not a branch, tag or commit of a repository"
    raise ValueError(msg)


def _gitlab_page(path: str) -> tuple[str, str]:
    repository, _, page = path.partition("/-/")
    repository = urls.decode(repository)
    parts = page.split("/") if page else []
    match parts:
        case []:
            return repository, ""
        case ["tree" | "tags", *ref] if ref:
            return repository, "/".join(ref)
        case ["blob" | "raw" | "blame" | "commits", ref, *_] | ["commit", ref]:
            return repository, ref
    msg = f"the page /-/{page} is not a branch, tag or commit of a repository"
    raise ValueError(msg)


def _gist_page(path: str) -> tuple[str, str]:
    match path.split("/"):
        case [user, gist]:
            return f"{user}/{gist}", ""
        case [user, gist, commit] if re.fullmatch("[0-9a-f]{40}", commit):
            return f"{user}/{gist}", commit
    msg = f"the page /{path} is not a gist, nor a commit of one"
    raise ValueError(msg)


SITE_PAGES: dict[str, tuple[Callable[[Sites], str], Callable[[str], tuple[str, str]]]] = {
    "gh": (lambda sites: sites.github, _github_page),
    "gl": (lambda sites: sites.gitlab, _gitlab_page),
    "gist": (lambda sites: sites.gist, _gist_page),
}
"""Where such a site is, and who reads the path of one of its pages: the repository and the reference."""


# --------------------------------------------------------------------------- the table
PROVIDERS: dict[str, Provider] = {
    row.id: row
    for row in (
        Provider(
            id="gh",
            name="GitHub",
            form="<user>/<repository>/<branch, tag or commit>",
            example="/v2/gh/binder-examples/requirements/HEAD",
            validate=r"[^/]+/[^/]+/.+",
            detect=r"^(https?://github.com/)?(?<repo>.*[^/])/?",
            label="GitHub repository name or URL",
            placeholder="binder-examples/requirements",
            url_encode=False,
            parse=_parse_gh,
        ),
        Provider(
            id="gl",
            name="GitLab.com",
            form="<group%2Fproject>/<branch, tag or commit>",
            example="/v2/gl/gitlab-org%2Fgitlab/HEAD",
            validate=r"[^/]+/.+",
            detect=r"^(https?://gitlab.com/)?(?<repo>.*[^/])/?",
            label="GitLab.com project name or URL",
            placeholder="group/project",
            url_encode=True,
            parse=_parse_gl,
        ),
        Provider(
            id="gist",
            name="Gist",
            form="<user>/<gist>/<commit, or nothing>",
            example="/v2/gist/choldgraf/ebad1ef7b94a2a6ddd7afc2f15a5d1a7",
            validate=r"[^/]+/[^/]+(/[^/]+)?",
            detect=r"^(https?://gist.github.com/)?(?<repo>.*[^/])/?",
            label="Gist ID (username/gistId) or URL",
            placeholder="username/gistId",
            url_encode=False,
            parse=_parse_gist,
        ),
        Provider(
            id="git",
            name="Git repository",
            form="<percent-encoded address>/<branch, tag or commit>",
            example="/v2/git/https%3A%2F%2Fgit.example.org%2Frepo.git/main",
            validate=r"[^/]+/.+",
            detect="",
            label="Address of a git repository",
            placeholder="https://git.example.org/repo.git",
            url_encode=True,
            parse=_parse_git,
        ),
        *ROWS,
    )
}
