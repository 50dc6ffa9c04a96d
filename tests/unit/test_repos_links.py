"""Tables: what a person wrote, and the reference or the refusal that it is."""

# ruff: noqa: E501  # a row of a table is a line

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import BadRef, BadSpec, BadUrl, LauncherError, LocalPath, ProtocolRefused, UnknownProvider
from launcher.model import RepoRef
from launcher.repos.provider import Sites
from launcher.repos.providers import PROVIDERS, parse_spec, parse_url
from launcher.repos.refs import check_ref
from launcher.repos.urls import redact, split

FILES = Sites(protocols=("http", "https", "git", "ssh", "file"))
SHA = "0123456789abcdef0123456789abcdef01234567"
HEX = "142c59757ed54de1816777828c9716e7"


def q(url: str) -> str:
    return quote(url, safe="")


@pytest.mark.parametrize(
    "provider,spec,canonical,url,ref",
    [
        ("gh", "user/repo/main", "user/repo/main", "https://github.com/user/repo", "main"),
        ("gh", "user/repo/feature/x", "user/repo/feature/x", "https://github.com/user/repo", "feature/x"),
        ("gh", "user/repo/feature%2Fx", "user/repo/feature/x", "https://github.com/user/repo", "feature/x"),
        ("gh", "user/repo/HEAD", "user/repo/HEAD", "https://github.com/user/repo", ""),
        ("gh", "user/repo", "user/repo/HEAD", "https://github.com/user/repo", ""),
        ("gh", "user/repo/", "user/repo/HEAD", "https://github.com/user/repo", ""),
        ("gh", "user/repo.git/v1.0", "user/repo/v1.0", "https://github.com/user/repo", "v1.0"),
        ("gh", "u/r/%C3%BCber", "u/r/%C3%BCber", "https://github.com/u/r", "über"),
        ("gh", "u/r/100%25", "u/r/100%25", "https://github.com/u/r", "100%"),
        ("gh", f"u/r/{SHA}", f"u/r/{SHA}", "https://github.com/u/r", SHA),
        ("gl", "group%2Fproject/main", "group%2Fproject/main", "https://gitlab.com/group/project.git", "main"),
        ("gl", "a%2Fb%2Fc.git/x/y", "a%2Fb%2Fc/x/y", "https://gitlab.com/a/b/c.git", "x/y"),
        ("gl", "a%2fb", "a%2Fb/HEAD", "https://gitlab.com/a/b.git", ""),
        ("git", q("https://h.org/r.git") + "/main", q("https://h.org/r.git") + "/main", "https://h.org/r.git", "main"),
        ("git", q("HTTPS://H.org:443/r") + "/", q("https://h.org/r") + "/HEAD", "https://h.org/r", ""),
        ("git", q("git://h.org:9000/r") + "/v1", q("git://h.org:9000/r") + "/v1", "git://h.org:9000/r", "v1"),
        ("git", q("git@h.org:p/r.git") + "/a/b", q("git@h.org:p/r.git") + "/a/b", "git@h.org:p/r.git", "a/b"),
        ("git", q("ssh://me@h.org:22/r") + "/m", q("ssh://me@h.org/r") + "/m", "ssh://me@h.org/r", "m"),
        ("gist", f"me/{HEX}", f"me/{HEX}/HEAD", f"https://gist.github.com/me/{HEX}.git", ""),
        ("gist", f"me/{HEX}/{SHA}", f"me/{HEX}/{SHA}", f"https://gist.github.com/me/{HEX}.git", SHA),
        ("zenodo", "10.5281/zenodo.123", "10.5281/zenodo.123", "https://doi.org/10.5281/zenodo.123", ""),
        ("zenodo", "10.5281/zenodo.123/", "10.5281/zenodo.123", "https://doi.org/10.5281/zenodo.123", ""),
        ("zenodo", "10.5281%2Fzenodo.123", "10.5281/zenodo.123", "https://doi.org/10.5281/zenodo.123", ""),
        ("zenodo", q("https://doi.org/10.22002/d1.1235"), "10.22002/d1.1235", "https://doi.org/10.22002/d1.1235", ""),
        ("figshare", "10.6084/m9.figshare.9.v2", "10.6084/m9.figshare.9.v2", "https://doi.org/10.6084/m9.figshare.9.v2", ""),
        ("dataverse", "10.7910/DVN/TJCLKP", "10.7910/DVN/TJCLKP", "https://doi.org/10.7910/DVN/TJCLKP", ""),
        ("hydroshare", HEX, HEX, f"https://www.hydroshare.org/resource/{HEX}", ""),
        ("hydroshare", q(f"https://www.hydroshare.org/resource/{HEX}/"), HEX, f"https://www.hydroshare.org/resource/{HEX}", ""),
        ("hydroshare", f"10.4211/hs.{HEX}", HEX, f"https://www.hydroshare.org/resource/{HEX}", ""),
        ("ckan", q("https://C.org/dataset/a"), q("https://c.org/dataset/a"), "https://c.org/dataset/a", ""),
        ("ckan", q("https://c.org/x/dataset/a?activity_id=1-2") + "/", q("https://c.org/x/dataset/a?activity_id=1-2"), "https://c.org/x/dataset/a?activity_id=1-2", ""),
        ("swh", f"swh:1:dir:{SHA}", f"swh:1:dir:{SHA}", f"https://archive.softwareheritage.org/swh:1:dir:{SHA}", ""),
        ("swh", f"swh:1:rev:{SHA};origin=https://h.org/a%2520b;lines=1-2/", f"swh:1:rev:{SHA};origin=https://h.org/a%2520b;lines=1-2", f"https://archive.softwareheritage.org/swh:1:rev:{SHA}", ""),
        ("git", q("https://[2001:DB8::1]/r"), q("https://[2001:db8::1]/r") + "/HEAD", "https://[2001:db8::1]/r", ""),
        ("git", q("https://bücher.example/r"), q("https://xn--bcher-kva.example/r") + "/HEAD", "https://xn--bcher-kva.example/r", ""),
    ],
)  # fmt: skip
def test_a_launch_path_is_read(provider: str, spec: str, canonical: str, url: str, ref: str) -> None:
    found = parse_spec(provider, spec)
    assert found == RepoRef(provider, canonical, url, ref)
    assert parse_spec(provider, found.spec) == found, "the canonical spec means the same"


@pytest.mark.parametrize(
    "pasted,ref,provider,spec",
    [
        ("https://github.com/user/repo", "", "gh", "user/repo/HEAD"),
        ("  https://github.com/user/repo.git\n", "v2", "gh", "user/repo/v2"),
        ("http://www.github.com/user/repo/", "", "gh", "user/repo/HEAD"),
        ("github.com/user/repo?tab=readme-ov-file#install", "", "gh", "user/repo/HEAD"),
        ("https://github.com/user/repo/tree/feature/x", "", "gh", "user/repo/feature/x"),
        ("https://github.com/user/repo/tree/main", "v1", "gh", "user/repo/v1"),
        ("https://github.com/user/repo/blob/main/a/b.ipynb", "", "gh", "user/repo/main"),
        (f"https://github.com/user/repo/commit/{SHA}", "", "gh", f"user/repo/{SHA}"),
        ("https://github.com/user/repo/releases/tag/v1.0", "", "gh", "user/repo/v1.0"),
        ("git@github.com:user/repo.git", "", "gh", "user/repo/HEAD"),
        ("ssh://git@github.com/user/repo", "", "gh", "user/repo/HEAD"),
        (f"https://gist.github.com/me/{HEX}#file-a-py", "", "gist", f"me/{HEX}/HEAD"),
        (f"gist.github.com/me/{HEX}.git", SHA, "gist", f"me/{HEX}/{SHA}"),
        (f"https://gist.github.com/me/{HEX}/{SHA}", "", "gist", f"me/{HEX}/{SHA}"),
        ("https://gitlab.com/g/s/p", "", "gl", "g%2Fs%2Fp/HEAD"),
        ("https://gitlab.com/g/p/-/tree/a/b?ref_type=heads", "", "gl", "g%2Fp/a/b"),
        ("https://gitlab.com/g/p.git", "x", "gl", "g%2Fp/x"),
        ("https://git.example.org/r.git", "", "git", q("https://git.example.org/r.git") + "/HEAD"),
        ("https://git.example.org/r.git", "HEAD", "git", q("https://git.example.org/r.git") + "/HEAD"),
        ("10.5281/zenodo.123", "", "zenodo", "10.5281/zenodo.123"),
        (" doi:10.5281/zenodo.123\n", "", "zenodo", "10.5281/zenodo.123"),
        ("https://doi.org/10.5281/zenodo.123", "", "zenodo", "10.5281/zenodo.123"),
        ("http://dx.doi.org/10.22002/d1.1235", "", "zenodo", "10.22002/d1.1235"),
        ("https://zenodo.org/records/123", "", "zenodo", "10.5281/zenodo.123"),
        ("https://www.zenodo.org/record/123?preview=1#files", "", "zenodo", "10.5281/zenodo.123"),
        ("https://zenodo.org/records/123/files/a.zip", "", "zenodo", "10.5281/zenodo.123"),
        ("zenodo.org/doi/10.5281/zenodo.123", "", "zenodo", "10.5281/zenodo.123"),
        ("https://mybinder.org/v2/zenodo/10.5281/zenodo.123/?urlpath=lab", "", "zenodo", "10.5281/zenodo.123"),
        (f"swh:1:snp:{SHA}", "", "swh", f"swh:1:snp:{SHA}"),
        (f"https://archive.softwareheritage.org/swh:1:dir:{SHA};origin=https://h.org/r.git;path=/a/", "", "swh", f"swh:1:dir:{SHA};origin=https://h.org/r.git;path=/a"),
        ("https://doi.org/10.6084/m9.figshare.9782777.v3", "", "figshare", "10.6084/m9.figshare.9782777.v3"),
        ("https://figshare.com/articles/dataset/A_title/9782777", "", "figshare", "10.6084/m9.figshare.9782777"),
        ("figshare.com/articles/A_title/9782777/3?file=1", "", "figshare", "10.6084/m9.figshare.9782777.v3"),
        ("10.7910/DVN/TJCLKP", "", "dataverse", "10.7910/DVN/TJCLKP"),
        ("https://d.org/dataset.xhtml?persistentId=doi:10.7910/DVN/T", "", "dataverse", "10.7910/DVN/T"),
        ("https://d.org/citation?persistentId=doi:10.7910%2FDVN%2FT", "", "dataverse", "10.7910/DVN/T"),
        (f"http://www.hydroshare.org/resource/{HEX}/", "", "hydroshare", HEX),
        ("https://c.org/dataset/a?activity_id=1-2", "", "ckan", q("https://c.org/dataset/a?activity_id=1-2")),
        ("https://git.example.org/dataset/a", "", "git", q("https://git.example.org/dataset/a") + "/HEAD"),
        (f"https://doi.org/10.4211/hs.{HEX}", "", "hydroshare", HEX),
        ("https://zenodo.org/communities/x.git", "", "git", q("https://zenodo.org/communities/x.git") + "/HEAD"),
        ("/v2/gh/user/repo/main", "", "gh", "user/repo/main"),
        ("https://mybinder.org/v2/gh/user/repo/main?urlpath=lab", "", "gh", "user/repo/main"),
        ("https://hub.example.org/services/binder/v2/gl/g%2Fp/main", "", "gl", "g%2Fp/main"),
        ("http://127.0.0.1:8000/v2/git/" + q("git://h.org/r") + "/m", "n", "git", q("git://h.org/r") + "/n"),
        ("https://git.example.org/v2/other/repo.git", "", "git", q("https://git.example.org/v2/other/repo.git") + "/HEAD"),
    ],
)  # fmt: skip
def test_a_pasted_address_is_read(pasted: str, ref: str, provider: str, spec: str) -> None:
    found = parse_url(pasted, ref)
    assert (found.provider, found.spec) == (provider, spec)
    assert parse_spec(found.provider, found.spec) == found


@pytest.mark.parametrize(
    "provider,spec,error",
    [
        ("nope", "a/b", UnknownProvider("nope", tuple(sorted(PROVIDERS)))),
        ("gh", "user", BadSpec("gh", "user", PROVIDERS["gh"].form, "the repository's name is missing or is none that GitHub gives")),
        ("gh", "/repo/main", BadSpec("gh", "/repo/main", PROVIDERS["gh"].form, "the user's name is missing or is none that GitHub gives")),
        ("gh", "u/../main", BadSpec("gh", "u/../main", PROVIDERS["gh"].form, "the repository's name is missing or is none that GitHub gives")),
        ("gh", "u/r/%zz", BadSpec("gh", "u/r/%zz", PROVIDERS["gh"].form, "%zz is not a percent-escape")),
        ("gh", "u/r/50%", BadSpec("gh", "u/r/50%", PROVIDERS["gh"].form, "% is not a percent-escape")),
        ("gh", "u/r/%ff", BadSpec("gh", "u/r/%ff", PROVIDERS["gh"].form, "its percent-escapes are not UTF-8")),
        ("gl", "group/project/main", BadSpec("gl", "group/project/main", PROVIDERS["gl"].form, "group and project have to be one part: write the / between them as %2F")),
        ("zenodo", "3242074", BadSpec("zenodo", "3242074", PROVIDERS["zenodo"].form, "it is not a DOI")),
        ("zenodo", "10.5281/a%20b", BadSpec("zenodo", "10.5281/a%20b", PROVIDERS["zenodo"].form, "it is not a DOI")),
        ("swh", f"swh:1:cnt:{SHA}", BadSpec("swh", f"swh:1:cnt:{SHA}", PROVIDERS["swh"].form, "it is the id of a file or of an origin, and has no folder that could be launched")),
        ("swh", f"swh:2:dir:{SHA}", BadSpec("swh", f"swh:2:dir:{SHA}", PROVIDERS["swh"].form, "it is not an id of Software Heritage, version 1")),
        ("swh", f"swh:1:dir:{SHA};x=y", BadSpec("swh", f"swh:1:dir:{SHA};x=y", PROVIDERS["swh"].form, "it is not an id of Software Heritage, version 1")),
        ("gist", "me/x", BadSpec("gist", "me/x", PROVIDERS["gist"].form, "the gist's id is missing or is none that GitHub gives")),
        ("hydroshare", "142c", BadSpec("hydroshare", "142c", PROVIDERS["hydroshare"].form, "it is not the id of a resource")),
        ("ckan", q("https://c.org/a"), BadSpec("ckan", q("https://c.org/a"), PROVIDERS["ckan"].form, "it is not the address of a dataset, https://host/dataset/name")),
        ("git", "https://h.org/r/main", BadSpec("git", "https://h.org/r/main", PROVIDERS["git"].form, "the repository's address has to be percent-encoded as a whole")),
        ("gh", "u/r/--upload-pack=touch%20x", BadRef("--upload-pack=touch x", "it begins with - like an option")),
        ("gh", "u/r/a%00b", BadRef("a\0b", "it holds a control character")),
        *(("git", q(f"{one}:x") + "/x", ProtocolRefused(f"{one}:x", one, ("http", "https", "git", "ssh"))) for one in ("javascript", "data", "mailto", "tel")),
        ("git", q("C:\\Users\\r") + "/x", BadUrl("C:\\Users\\r", "“C:” is no protocol of a repository, and no whole host name")),
        ("git", q("ext::sh -c id") + "/x", ProtocolRefused("ext::sh -c id", "ext", ("http", "https", "git", "ssh"))),
        ("git", q("ext::sh%20-c%20id") + "/x", ProtocolRefused("ext::sh%20-c%20id", "ext", ("http", "https", "git", "ssh"))),
    ],
)  # fmt: skip
def test_a_launch_path_is_refused(provider: str, spec: str, error: LauncherError) -> None:
    with pytest.raises(type(error)) as caught:
        parse_spec(provider, spec)
    assert vars(caught.value) == vars(error)


@pytest.mark.parametrize(
    "url,error",
    [
        ("ext::sh", ProtocolRefused("ext::sh", "ext", ("http", "https", "git", "ssh"))),
        ("fd::17/foo", ProtocolRefused("fd::17/foo", "fd", ("http", "https", "git", "ssh"))),
        ("https::https://h/r", ProtocolRefused("https::https://h/r", "https", ("http", "https", "git", "ssh"))),
        ("ftp://h.org/r", ProtocolRefused("ftp://h.org/r", "ftp", ("http", "https", "git", "ssh"))),
        *((path, LocalPath(path, "it is a path on one computer")) for path in ("file:///etc", "/etc", "./here")),
        ("", BadUrl("", "it has not the form protocol://host/path")),
        ("https://me:secret@h.org/r", BadUrl("https://h.org/r", "it carries a user name or a password, and links are public")),
        ("https://sometoken@h.org/r", BadUrl("https://h.org/r", "it carries a user name or a password, and links are public")),
        ("ssh://me:pw@h.org/r", BadUrl("ssh://me@h.org/r", "it carries a user name or a password, and links are public")),
        ("ssh://-oProxyCommand=x/r", BadUrl("ssh://-oProxyCommand=x/r", "its host is not a host name")),
        ("ssh://-oProxyCommand=x@h.org/r", BadUrl("ssh://-oProxyCommand=x@h.org/r", "its user name is none")),
        ("-oProxyCommand=x.y:r", BadUrl("-oProxyCommand=x.y:r", "its host is not a host name")),
        ("notes:r.git", BadUrl("notes:r.git", "“notes:” is no protocol of a repository, and no whole host name")),
        ("https:h.org/r", BadUrl("https:h.org/r", "it has not the form protocol://host/path")),
        ("h.org:-x", BadUrl("h.org:-x", "its path begins with -")),
        ("https://h.org", BadUrl("https://h.org", "it has no path to a repository")),
        ("https:///r", BadUrl("https:///r", "it has no host")),
        ("https://h.org:0/r", BadUrl("https://h.org:0/r", "0 is not a port")),
        ("https://h.org:99999/r", BadUrl("https://h.org:99999/r", "99999 is not a port")),
        ("https://h.org/a/../b", BadUrl("https://h.org/a/../b", "its path climbs out with “..”")),
        ("https://h.org/a/%2e%2E/b", BadUrl("https://h.org/a/%2e%2E/b", "its path climbs out with “..”")),
        ("https://h.org/%0ahost=x", BadUrl("https://h.org/%0ahost=x", "its path holds a control character")),
        ("https://h.org/%zz", BadUrl("https://h.org/%zz", "%zz is not a percent-escape")),
        ("https://h.org/r?token=abc", BadUrl("https://h.org/r?token=[secret]", "it has a query or a fragment")),
        ("https://h.org\\@127.0.0.1/r", BadUrl("https://127.0.0.1/r", "it carries a user name or a password, and links are public")),
        ("https://h.org/" + "a" * 2000, BadUrl("https://h.org/" + "a" * 86 + "…", "it is longer than 2000 characters")),
        ("https://github.com/u/r/issues/3", BadUrl("https://github.com/u/r/issues/3", "the page /issues/3 is not a branch, tag or commit of a repository")),
        ("https://github.com/u", BadUrl("https://github.com/u", "the repository's name is missing or is none that GitHub gives")),
    ],
)  # fmt: skip
def test_an_address_is_refused(url: str, error: LauncherError) -> None:
    with pytest.raises(type(error)) as caught:
        parse_url(url)
    assert vars(caught.value) == vars(error)


@pytest.mark.parametrize("url", ["git.example.org:u/r.git", "me@host:r", "[2001:db8::1]:r"])
def test_the_short_form_of_ssh(url: str) -> None:
    assert str(split(url)) == url


@pytest.mark.parametrize("url", ["file:///srv/r.git", "/srv/r.git"])
def test_local_paths_where_the_operator_allows_them(url: str) -> None:
    assert parse_url(url, sites=FILES).url == "file:///srv/r.git"


def test_sites_of_an_institution() -> None:
    sites = Sites(github="https://github.example.org", gitlab="http://127.0.0.1:8080")
    assert parse_spec("gh", "u/r/x", sites).url == "https://github.example.org/u/r"
    assert parse_url("https://github.example.org/u/r/tree/x", sites=sites).provider == "gh"
    assert parse_spec("gl", "u%2Fr/x", sites).url == "http://127.0.0.1:8080/u/r.git"
    assert parse_url("https://github.com/u/r", sites=sites).provider == "git"


@pytest.mark.parametrize(
    "ref", ["main", "feature/x", "v1.0", "über", "a@b", "a{b", "@{x".replace("@{", "@-{"), "x" * 255, "refs/heads/m"]
)
def test_references_that_git_can_have(ref: str) -> None:
    assert check_ref(ref) == ref


@pytest.mark.parametrize(
    "ref",
    [
        *("-x", "--upload-pack=x", "a..b", "../x", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "@", "a@{1}"),
        *("/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a\nb", "a\x7f", "x" * 256, "ü" * 128),
    ],
)
def test_references_that_git_cannot_have(ref: str) -> None:
    with pytest.raises(BadRef):
        check_ref(ref)


@pytest.mark.parametrize(
    "text,shown",
    [
        ("fatal: https://u:p@h.org/r gone", "fatal: https://h.org/r gone"),
        ("https://ghp_0123456789abcdef@h.org/", "https://h.org/"),
        ("https://u:p@@h.org/r", "https://h.org/r"),
        ("ssh://git:pw@h/r and ssh://git@h/r", "ssh://git@h/r and ssh://git@h/r"),
        ("git@h.org:r", "git@h.org:r"),
        ("https://h.org/p@v1", "https://h.org/p@v1"),
        ("glpat-abcdefghijklmnopqrst", "[secret]"),
        ("?private_token=abc&x=1", "?private_token=[secret]&x=1"),
        ("Authorization: Basic YWJj", "Authorization: Basic [secret]"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_a_record_has_no_branch() -> None:
    with pytest.raises(BadRef) as caught:
        parse_url("10.5281/zenodo.1", "main")
    assert caught.value.reason == "a record has no branches; leave this empty, and give the DOI of the version"


@given(st.text(max_size=60))
def test_nothing_written_breaks_the_reader(text: str) -> None:
    """Anything is a reference whose canonical form means the same, or a refusal of ours."""
    for provider in PROVIDERS:
        try:
            found = parse_spec(provider, text)
        except LauncherError:
            continue
        assert parse_spec(provider, found.spec) == found
    try:
        found = parse_url(text)
    except LauncherError:
        return
    assert parse_spec(found.provider, found.spec) == found


@given(st.from_regex(r"(https?|git|ssh|ext|file)(://|::|:)[a-z0-9@:%./\\\[\]#?~-]{0,30}", fullmatch=True))
def test_an_address_once_read_stays_the_same(text: str) -> None:
    try:
        address = split(text)
    except LauncherError:
        return
    assert split(str(address)) == address
    assert not address.host.startswith("-")
    assert not address.path.startswith("-")
