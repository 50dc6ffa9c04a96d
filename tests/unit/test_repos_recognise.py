"""A table: what a person pasted, and the link that it is."""

# ruff: noqa: E501  # a row of a table is a line

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import (
    ArchiveFile,
    BadUrl,
    LauncherError,
    LocalPath,
    ProtocolRefused,
    PublicationId,
    SiteUnknown,
)
from launcher.explain import explain
from launcher.repos.providers import parse_spec
from launcher.repos.recognise import LONGEST, folders, may_move, recognise

SHA = "0123456789abcdef0123456789abcdef01234567"
BADGE = "https://mybinder.org/v2/gh/u/r/HEAD?labpath=x%2Fa.ipynb"


def q(url: str) -> str:
    return quote(url, safe="")


@pytest.mark.parametrize(
    "pasted,provider,spec,urlpath",
    [
        # pages with a file or a folder in them
        ("https://github.com/u/r/blob/main/a/b%20c.ipynb", "gh", "u/r/main", "doc/tree/a/b c.ipynb"),
        ("github.com/u/r/raw/main/a.py?raw=true#L3", "gh", "u/r/main", "doc/tree/a.py"),
        ("https://github.com/u/r/tree/feature/x", "gh", "u/r/feature/x", ""),
        (f"https://github.com/u/r/tree/{SHA}/notes", "gh", f"u/r/{SHA}", "lab/tree/notes"),
        ("https://raw.githubusercontent.com/u/r/refs/heads/main/d/x.ipynb", "gh", "u/r/main", "doc/tree/d/x.ipynb"),
        ("https://nbviewer.org/github/u/r/blob/main/x.ipynb", "gh", "u/r/main", "doc/tree/x.ipynb"),
        ("https://colab.research.google.com/github/u/r/blob/v1/x.ipynb#scrollTo=1", "gh", "u/r/v1", "doc/tree/x.ipynb"),
        ("https://gitlab.com/g/s/p/-/blob/main/x.ipynb?ref_type=heads", "gl", "g%2Fs%2Fp/main", "doc/tree/x.ipynb"),
        ("https://git.example.org/g/s/p/-/blob/main/x.ipynb", "git", q("https://git.example.org/g/s/p.git") + "/main", "doc/tree/x.ipynb"),
        ("https://git.example.org/g/p/-/tree/v1/notes", "git", q("https://git.example.org/g/p.git") + "/v1/notes", ""),
        ("https://codeberg.org/u/r/src/branch/main/x.ipynb", "git", q("https://codeberg.org/u/r.git") + "/main", "doc/tree/x.ipynb"),
        (f"https://codeberg.org/u/r/src/commit/{SHA}/notes", "git", q("https://codeberg.org/u/r.git") + f"/{SHA}", "lab/tree/notes"),
        ("https://bitbucket.org/u/r/src/main/x.py", "git", q("https://bitbucket.org/u/r") + "/main", "doc/tree/x.py"),
        # names
        ("u/r", "gh", "u/r/HEAD", ""),
        ("u/r@v1.0", "gh", "u/r/v1.0", ""),
        (f"swh:1:dir:{SHA}", "swh", f"swh:1:dir:{SHA}", ""),
        ("doi:10.5281/zenodo.123", "zenodo", "10.5281/zenodo.123", ""),
        # links of this hub and of others
        ("/v2/gh/u/r/main?filepath=x.ipynb", "gh", "u/r/main", "tree/x.ipynb"),
        ("https://mybinder.org/v2/gh/u/r/main?urlpath=%2Flab%2Ftree%2Fx.ipynb", "gh", "u/r/main", "lab/tree/x.ipynb"),
        ("https://mybinder.org/repo/u/r", "gh", "u/r/HEAD", ""),
        (f"https://hub.example.org/hub/user-redirect/git-pull?repo={q('https://github.com/u/r')}&branch=main&urlpath=lab%2Ftree%2Fr%2Fa%2Fi.ipynb", "gh", "u/r/main", "doc/tree/a/i.ipynb"),
        # badges
        (f"[![Binder](https://mybinder.org/badge_logo.svg)]({BADGE})", "gh", "u/r/HEAD", "doc/tree/x/a.ipynb"),
        (f".. image:: https://mybinder.org/badge_logo.svg\n :target: {BADGE}", "gh", "u/r/HEAD", "doc/tree/x/a.ipynb"),
        ('<a href="https://mybinder.org/v2/gh/u/r/HEAD?urlpath=lab&amp;x=1"><img src="https://mybinder.org/badge.svg"></a>', "gh", "u/r/HEAD", "lab"),
        ("\\href{https://mybinder.org/v2/gh/u/r\\_x/HEAD?labpath=a\\%20b.ipynb}{go}", "gh", "u/r_x/HEAD", "doc/tree/a b.ipynb"),
        (f"[[{BADGE}][https://mybinder.org/badge_logo.svg]]", "gh", "u/r/HEAD", "doc/tree/x/a.ipynb"),
        ("The code is at https://github.com/u/r.", "gh", "u/r/HEAD", ""),
        # commands
        ("git clone -b dev --depth 1 https://github.com/u/r.git here", "gh", "u/r/dev", ""),
        ("$ git clone --branch=dev 'git@git.example.org:u/r.git'", "git", q("git@git.example.org:u/r.git") + "/dev", ""),
    ],
)  # fmt: skip
def test_what_is_pasted_is_recognised(pasted: str, provider: str, spec: str, urlpath: str) -> None:
    found = recognise(f" {pasted}\n")
    assert (found.ref.provider, found.ref.spec, found.urlpath) == (provider, spec, urlpath)
    assert parse_spec(provider, spec) == found.ref


@pytest.mark.parametrize(
    "pasted,url,reason",
    [
        ("hello world", "hello world", "it holds a space"),
        ("nonsense", "nonsense", "it has not the form protocol://host/path"),
        (f"{BADGE} https://mybinder.org/v2/gh/u/other/HEAD", f"{BADGE} https://mybinder.org/v2/gh/u/other/HEAD", "it holds 2 links: paste one of them"),
        ("git clone 'https://h.org/r", "git clone 'https://h.org/r", "its quotation marks do not match"),
        ("git clone --depth 1", "git clone --depth 1", "it names no repository"),
        ("[x](https://me:secret@h.org/r)", "https://h.org/r", "it carries a user name or a password, and links are public"),
        ("https://git.example.org/a b", "https://git.example.org/a b", "it holds a space"),
        ("https://github.com/u/r/issues/3", "https://github.com/u/r/issues/3", "the page /issues/3 is not a branch, tag or commit of a repository"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(pasted: str, url: str, reason: str) -> None:
    with pytest.raises(BadUrl) as caught:
        recognise(pasted)
    assert vars(caught.value) == {"url": url, "reason": reason}


@pytest.mark.parametrize(
    "pasted,kind,code",
    [
        *((one, ProtocolRefused, "protocol-refused") for one in ("javascript:alert(1)", "mailto:a@b.c", "tel:123", "data:text/html,x", "javascript:open('https://h.org/r')", "urn:x:y", "doi:nonsense")),
        *((one, PublicationId, "publication-id") for one in ("arXiv:2101.00001", "https://arxiv.org/abs/2101.00001", "hdl:20.1000/1", "https://hdl.handle.net/20.1000/1", "PMID: 123", "isbn:978-3-16-148410-0", "10.48550/arXiv.2101.00001", "https://www.biorxiv.org/content/10.1101/1v1")),
        *((one, LocalPath, "local-path") for one in ("C:\\Users\\me\\repo", "c:/Users/me/my repo", "\\\\server\\share", "~/repo", "/home/me/repo", "../repo", "file:///home/me/repo")),
        *((one, SiteUnknown, "site-unknown") for one in ("https://osf.io/abc12/", "osf.io/abc12", "doi:10.17605/OSF.IO/ABC12", "https://doi.org/10.5061/dryad.x1", "https://www.kaggle.com/u/x", "https://drive.google.com/file/d/x/view", "https://colab.research.google.com/drive/1x")),
        *((one, ArchiveFile, "archive-file") for one in ("https://example.com/x.zip", "https://example.com/a/x.tar.gz?raw=1", "http://h.org/x.TGZ", "[code](https://example.com/x.zip)")),
        *((one, BadUrl, "bad-url") for one in ("host:path", "localhost:8888/lab", "https:h.org/r", "note:https://h.org/r")),
    ],
)  # fmt: skip
def test_what_is_no_repository_is_told_for_what_it_is(pasted: str, kind: type[LauncherError], code: str) -> None:
    with pytest.raises(kind) as caught:
        recognise(pasted)
    assert type(caught.value) is kind
    assert explain(caught.value).code == code


@pytest.mark.parametrize(
    "pasted",
    ["https://zenodo.org/records/123/files/a.zip", "code: https://github.com/u/r", "data: https://github.com/u/r"],
)
def test_what_only_looks_like_it_is_read(pasted: str) -> None:
    assert recognise(pasted).ref.provider in {"zenodo", "gh"}


def test_a_whole_readme_is_not_read() -> None:
    with pytest.raises(BadUrl) as caught:
        recognise("x" * (LONGEST + 1))
    assert caught.value.reason == f"it is longer than {LONGEST} characters"


def test_a_reference_of_ones_own_wins() -> None:
    assert recognise("git clone -b dev https://github.com/u/r", "v1").ref.ref == "v1"


def test_where_a_branch_ends_in_the_page_of_a_folder() -> None:
    found = folders(recognise("https://github.com/u/r/tree/a/b/c"))
    assert [(one.ref.spec, one.urlpath) for one in found] == [("u/r/a", "lab/tree/b/c"), ("u/r/a/b", "lab/tree/c")]
    told = recognise("https://github.com/u/r/tree/a/b/c", "a/b")
    assert (told.ref.spec, told.urlpath) == ("u/r/a/b", "lab/tree/c")
    assert folders(recognise("u/r")) == folders(recognise(f"swh:1:dir:{SHA}")) == []


@pytest.mark.parametrize(
    "page,repository",
    [
        ("https://github.com/u/r/blob/a/b/c/d/e.ipynb", "u/r"),
        ("https://raw.githubusercontent.com/u/r/refs/heads/a/b/c/d/e.ipynb", "u/r"),
        ("https://gitlab.com/g/p/-/blob/a/b/c/d/e.ipynb?ref_type=heads", "g%2Fp"),
        ("https://git.example.org/g/p/-/blob/a/b/c/d/e.ipynb", q("https://git.example.org/g/p.git")),
        ("https://codeberg.org/u/r/src/branch/a/b/c/d/e.ipynb", q("https://codeberg.org/u/r.git")),
        ("https://bitbucket.org/u/r/src/a/b/c/d/e.ipynb", q("https://bitbucket.org/u/r")),
    ],
)
def test_where_a_branch_ends_in_the_page_of_a_file(page: str, repository: str) -> None:
    first = recognise(page)
    assert [(one.ref.spec, one.urlpath) for one in (first, *folders(first))] == [
        (f"{repository}/a", "doc/tree/b/c/d/e.ipynb"),
        (f"{repository}/a/b", "doc/tree/c/d/e.ipynb"),
        (f"{repository}/a/b/c", "doc/tree/d/e.ipynb"),
        (f"{repository}/a/b/c/d", "doc/tree/e.ipynb"),
    ]
    told = recognise(page, "a/b")
    assert (told.ref.spec, told.urlpath, told.page) == (f"{repository}/a/b", "doc/tree/c/d/e.ipynb", "")
    other = replace(first, urlpath="lab/tree/x")
    assert {one.urlpath for one in folders(other)} == {"lab/tree/x"}, "what was asked for by itself stays"


@pytest.mark.parametrize(
    "page", [f"https://github.com/u/r/blob/{SHA}/a/b.ipynb", "https://github.com/u/r/blob/main/b.ipynb"]
)
def test_a_page_that_tells_where_its_branch_ends(page: str) -> None:
    assert folders(recognise(page)) == []


@pytest.mark.parametrize(
    "pasted,moves",
    [
        ("u/r", True),
        ("u/r@v1", True),
        (f"u/r@{SHA}", False),
        (f"swh:1:dir:{SHA}", False),
        ("10.6084/m9.figshare.9782777.v3", False),
        ("10.6084/m9.figshare.9782777", None),
        ("10.5281/zenodo.123", None),
        ("https://c.org/dataset/a?activity_id=1-2", False),
    ],
)
def test_whether_a_link_can_move(pasted: str, moves: bool | None) -> None:
    assert may_move(recognise(pasted).ref) is moves


@given(st.text(max_size=200))
def test_whatever_is_pasted_is_read_or_refused(text: str) -> None:
    for pasted in (text, f"https://github.com/u/r/{text}", f"[a](https://h.org/v2/gh/{text})", f"git clone {text}"):
        try:
            found = recognise(pasted)
        except LauncherError:
            continue
        assert parse_spec(found.ref.provider, found.ref.spec) == found.ref
