"""Bad input and parts that are away, on the real service: what people are told, word for word, and that nothing leaks.

Each case is asked twice: as our pages ask (`/api/v1`) and as BinderHub's clients do (`/build`).
"""

# ruff: noqa: E501  # a sentence of a table is a line

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from launcher.operate.installation import free_port
from tests.fixtures.service import ROOT, Service, read_events
from tests.fixtures.serving_lfs import large
from tests.fixtures.trees import blob, raw_commit, raw_tree
from tests.fixtures.trees import link as link_submodule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.fixtures.registry import RunningRegistry
    from tests.fixtures.repos import GitHost, GitHttpHost, Repo
    from tests.fixtures.serving_lfs import LfsHost

pytestmark = pytest.mark.engine

BASE = "FROM localhost/repolaunch/base:1\n"
CORRECT_REF = "Correct the reference, or leave it out to get the repository's default branch."
CLONE = "Give the address that `git clone` would take, for example https://example.org/group/name.git."
NAME_REF = "Give the name of a branch or tag, or a commit's id."
PROTOCOLS = "Use one of: http, https, git, ssh."
CORRECT_BUILD = "Correct what the last lines complain about in the repository; the log has every line."
LATER = "Try again in a few minutes. Operators: run `repolaunch doctor`."
PUBLIC = "Use a repository on a public server, or ask the operator to list its network in `allowed_networks`."


@dataclass(frozen=True)
class Told:
    """What people are told of an error. `stage` is empty where the link itself is refused."""

    code: str
    status: int
    title: str
    seen: str
    todo: str
    stage: str = ""

    @property
    def lines(self) -> str:
        """As BinderHub's clients show it."""
        return f"{self.title}.\n{self.seen}\n{self.todo}\n"


# --------------------------------------------------------------------------- asking
async def asked(service: Service, **body: str) -> tuple[Told, list[dict[str, Any]]]:
    """What the API tells of a launch that goes wrong, at once or as its last event; and all events."""
    async with aiohttp.ClientSession(service.base_url, headers=service.operator, timeout=LONG) as http:
        async with http.post("/api/v1/launches", json=body) as answer:
            text = await answer.text()
            no_leak(service, text)
            said = json.loads(text)
            if answer.status != 201:
                error = said["error"]
                assert answer.status == error["status"]
                assert error["link"] == f"/docs/errors#{error['code']}"
                return told(error), []
        async with http.get(said["events"]) as answer:
            events = [event async for event in read_events(answer)]
    no_leak(service, json.dumps(events))
    assert [event["n"] for event in events if event["type"] in {"ready", "failed", "cancelled"}] == [len(events)]
    return told(events[-1]), events


def told(error: dict[str, Any]) -> Told:
    """What is told in an error's JSON or in a `failed` event."""
    if error.get("type") == "ready":
        return Told("ready", 200, "", "", "")
    facts = {name: error[name] for name in ("code", "status", "title", "seen", "todo")}
    return Told(**facts, stage=error.get("stage") or "")


async def streamed(service: Service, path: str) -> dict[str, Any]:
    """The last event of BinderHub's stream; a `failed` one comes once and is the last."""
    headers = {"Accept": "text/event-stream"}
    address = URL(service.base_url + path, encoded=True)
    async with aiohttp.ClientSession(timeout=LONG) as http, http.get(address, headers=headers) as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type) == (200, "text/event-stream"), text
    no_leak(service, re.sub(r'"token": "[^"]+"', "", text))
    events: list[dict[str, Any]] = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
    assert [event["phase"] for event in events if event["phase"] in {"ready", "failed"}] == [events[-1]["phase"]]
    return events[-1]


LONG = aiohttp.ClientTimeout(total=120)
TRACES = re.compile(r"Traceback|File \"|\.py\b|site-packages|/tmp/|/home/|/root|/var/lib|[0-9a-f]{8}-up\.log")


def no_leak(service: Service, text: str) -> None:
    """No traceback, no path of the host, no secret of the installation."""
    assert not TRACES.search(text), TRACES.search(text)
    for path in (service.data, service.data.parent, ROOT):
        assert str(path) not in text
    secrets = {file.name: file.read_text().strip() for file in (service.data / "secrets").iterdir()}
    del secrets["installation"]  # it is part of the names of images and volumes
    assert len([secret for secret in secrets.values() if len(secret) >= 8]) >= 5
    for name, secret in secrets.items():
        assert not secret or secret not in text, f"the secret {name} is told"


def link(url: str, ref: str = "main") -> str:
    """The rest of a launch path."""
    return f"git/{quote(url, safe='')}/{ref}"


async def both(service: Service, expected: Told, url: str, ref: str = "main") -> list[dict[str, Any]]:
    """Ask both ways and compare. Returns the API's events."""
    found, events = await asked(service, url=url, ref=ref)
    assert found == expected
    last = await streamed(service, f"/build/{link(url, quote(ref, safe='/'))}")
    assert (last["phase"], last["message"], last["status_code"]) == ("failed", expected.lines, expected.status)
    return events


# --------------------------------------------------------------------------- links
def bad_spec(provider: str, spec: str, reason: str) -> Told:
    forms = {
        "gh": "<user>/<repository>/<branch, tag or commit>",
        "gl": "<group%2Fproject>/<branch, tag or commit>",
        "git": "<percent-encoded address>/<branch, tag or commit>",
    }
    seen = f"For the provider “{provider}” the link says “{spec}”: {reason}."
    return Told(
        "bad-spec", 400, "The link does not have the form of its provider", seen, f"Write it as {forms[provider]}."
    )


def bad_url(url: str, reason: str) -> Told:
    return Told("bad-url", 400, "This is not the address of a repository", f"The address is “{url}”: {reason}.", CLONE)


def bad_ref(ref: str, reason: str) -> Told:
    return Told(
        "bad-ref", 400, "This cannot be a branch, tag or commit", f"The reference is “{ref}”: {reason}.", NAME_REF
    )


def bad_protocol(url: str, protocol: str) -> Told:
    return Told(
        "protocol-refused", 400, "This protocol is not allowed", f"The address “{url}” uses {protocol}.", PROTOCOLS
    )


def local_path(url: str) -> Told:
    seen = f"“{url}” is a path on somebody's own computer, which nobody else can reach."
    todo = "Push it to a git host first (GitHub, GitLab, Codeberg, …), then give its address there."
    return Told("local-path", 400, "This is a path on one computer", seen, todo)


HOST = "https%3A%2F%2Fgit.example.org%2Frepo.git"
GITHUB_USER = "the user's name is missing or is none that GitHub gives"
LINKS = {
    "provider": ("svn/user/repo/main", Told("unknown-provider", 404, "Unknown provider", "The link names the provider “svn”.", "Use one of: ckan, dataverse, figshare, gh, gist, git, gl, hydroshare, swh, zenodo.")),
    "escape": (f"git/{HOST[:-4]}%2.git/main", bad_spec("git", f"{HOST[:-4]}%2.git/main", "%2. is not a percent-escape")),
    "escape in the ref": ("gh/user/repo/50%", bad_spec("gh", "user/repo/50%", "% is not a percent-escape")),
    "escapes that are no text": ("gh/user/repo/%ff", bad_spec("gh", "user/repo/%ff", "its percent-escapes are not UTF-8")),
    "not escaped": ("git/https://git.example.org/repo/main", bad_spec("git", "https://git.example.org/repo/main", "the repository's address has to be percent-encoded as a whole")),
    "no repository": ("gh/user", bad_spec("gh", "user", "the repository's name is missing or is none that GitHub gives")),
    "no group": ("gl/project/main", bad_spec("gl", "project/main", "group and project have to be one part: write the / between them as %2F")),
    "climbing, encoded": ("gh/%2e%2e%2f/%2e%2e%2f/HEAD", bad_spec("gh", "%2e%2e%2f/%2e%2e%2f/HEAD", GITHUB_USER)),
    "climbing": ("git/https%3A%2F%2Fgit.example.org%2F..%2F..%2Fetc/main", bad_url("https://git.example.org/../../etc", "its path climbs out with “..”")),
    "climbing ref": ("gh/user/repo/a..b", bad_ref("a..b", "it holds “..”")),
    "option": (f"git/{HOST}/--upload-pack=touch%20x", bad_ref("--upload-pack=touch x", "it begins with - like an option")),
    "option of ssh": (f"git/{HOST}/-oProxyCommand=id", bad_ref("-oProxyCommand=id", "it begins with - like an option")),
    "host like an option": ("git/ssh%3A%2F%2F-oProxyCommand%3Did%2Frepo/main", bad_url("ssh://-oProxyCommand=id/repo", "its host is not a host name")),
    "helper": ("git/ext%3A%3Ash%20-c%20id/main", bad_protocol("ext::sh -c id", "ext")),
    "file": ("git/file%3A%2F%2F%2Fetc/main", bad_protocol("file:///etc", "file")),
    "path": ("git/%2Fetc%2Fpasswd/main", bad_protocol("/etc/passwd", "file")),
    "password": ("git/https%3A%2F%2Fme%3Asecret%40git.example.org%2Fr/main", bad_url("https://git.example.org/r", "it carries a user name or a password, and links are public")),
}  # fmt: skip


@pytest.mark.parametrize("case", LINKS)
async def test_a_link_that_cannot_be_one(service: Service, case: str) -> None:
    path, expected = LINKS[case]
    provider, _, spec = path.partition("/")
    assert await asked(service, provider=provider, spec=spec) == (expected, [])
    last = await streamed(service, f"/build/{path}")
    assert last == {"phase": "failed", "message": expected.lines, "status_code": expected.status}
    async with aiohttp.ClientSession() as http:
        address = URL(f"{service.base_url}/v2/{path}", encoded=True)
        async with http.get(address, headers={"Accept": "text/html"}) as answer:
            page = await answer.text()
            assert (answer.status, answer.content_type) == (expected.status, "text/html")
    no_leak(service, page)
    for sentence in (expected.title, expected.seen, expected.todo):
        assert escaped(sentence) in page


def escaped(text: str) -> str:
    """As our templates write it."""
    for character, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ('"', "&#34;")):
        text = text.replace(character, name)
    return text


PASTED = {
    "-oProxyCommand=id": bad_url("-oProxyCommand=id", "it has not the form protocol://host/path"),
    "--upload-pack=id": bad_url("--upload-pack=id", "it has not the form protocol://host/path"),
    "ext::sh -c id": bad_protocol("ext::sh -c id", "ext"),
    "fd::17/x": bad_protocol("fd::17/x", "fd"),
    "file:///etc": local_path("file:///etc"),
    "../..": local_path("../.."),
    "/etc": local_path("/etc"),
    "https://git.example.org/a b": bad_url("https://git.example.org/a b", "it holds a space"),
    "https://git.example.org/%2e%2e/etc": bad_url(
        "https://git.example.org/%2e%2e/etc", "its path climbs out with “..”"
    ),
}


@pytest.mark.parametrize("url", PASTED)
async def test_a_pasted_address_that_cannot_be_one(service: Service, url: str) -> None:
    assert await asked(service, url=url) == (PASTED[url], [])


# --------------------------------------------------------------------------- repositories
async def test_a_repository_that_is_not_there(service: Service, git_daemon: GitHost, git_http: GitHttpHost) -> None:
    for url in (f"{git_daemon.base}/nobody.git", f"{git_http.base}/nobody.git"):
        seen = f"The server of {url} says that it has no such repository, or none that is public."
        todo = "Check the spelling. If it is private: sign in, keep a token for its server, and open the link again."
        await both(service, Told("repository-missing", 404, "There is no such repository", seen, todo, "resolve"), url)


async def test_a_host_that_does_not_answer(service: Service) -> None:
    url = f"git://127.0.0.1:{free_port()}/repo.git"
    seen, todo = f"Asking {url} failed: nothing listens there.", "Check the address. If it is right, try again later."
    await both(
        service, Told("host-unreachable", 502, "The repository's server does not answer", seen, todo, "resolve"), url
    )


async def test_references(service: Service, git_daemon: GitHost) -> None:
    repo = git_daemon.make_repo(branches={"twice": {"a": "b"}}, tags=["twice"])
    title = "There is no such branch, tag or commit"
    seen = f"{repo.url} has no branch, tag or commit that is called exactly “mian”.\nIt has: main."
    await both(service, Told("ref-missing", 404, title, seen, CORRECT_REF, "resolve"), repo.url, "mian")
    seen = f"{repo.url} has no branch, tag or commit that is called exactly “{'0' * 40}”."
    await both(service, Told("ref-missing", 404, title, seen, CORRECT_REF, "resolve"), repo.url, "0" * 40)
    title, todo = "The reference means more than one thing", "Write one of these in full."
    seen = f"In {repo.url}, “twice” is: refs/heads/twice, refs/tags/twice."
    await both(service, Told("ref-ambiguous", 400, title, seen, todo, "resolve"), repo.url, "twice")


async def test_a_private_repository_is_told_as_one_that_is_not_there(service: Service, git_http: GitHttpHost) -> None:
    git_http.make_repo("hidden")
    url = f"{git_http.base}/private/hidden.git"
    todo = "Check the spelling. If it is private: sign in, keep a token for its server, and open the link again."
    seen = f"The server of {url} says that it has no such repository, or none that is public."
    await both(service, Told("repository-missing", 404, "There is no such repository", seen, todo, "resolve"), url)


async def test_a_redirect_into_a_private_network(service: Service, git_http: GitHttpHost) -> None:
    git_http.redirects.update({"/inwards/": "/again/", "/again/": "http://10.11.12.13/"})
    url = f"{git_http.base}/inwards/r.git"
    via = f"{git_http.base}/again/r.git"
    seen = f"10.11.12.13 leads to a private address.\n{via} redirects there."
    title = "This address is not open to launches"
    await both(service, Told("address-refused", 403, title, seen, PUBLIC, "resolve"), url)


async def test_more_files_than_anybody_can_count(service: Service, git_daemon: GitHost) -> None:
    """Ten trees, each with the one before ten times."""
    repo = git_daemon.make_repo()
    tree = raw_tree(repo, [("100644", f"f{number}", blob(repo, "x")) for number in range(10)])
    for _ in range(9):
        tree = raw_tree(repo, [("40000", f"d{number}", tree) for number in range(10)])
    raw_commit(repo, tree)
    seen = f"Fetching {repo.url} passed the limit of 200000 files."
    todo = "Make the repository smaller, or ask the operator to raise the limit."
    told = Told("repository-too-large", 413, "The repository is too large", seen, todo, "checkout")
    await both(service, told, repo.url, "evil")


async def test_a_submodule_in_a_private_network(service: Service, git_http: GitHttpHost) -> None:
    repo = git_http.make_repo(files={"Dockerfile": BASE})
    link_submodule(repo, "libs/b", "http://10.11.12.13/r.git", repo.commit)
    seen = f"In {repo.url}, the submodule “libs/b” cannot be had. 10.11.12.13 leads to a private address."
    todo = "Correct or remove it in `.gitmodules`. A network that is not open is the operator's to open."
    told = Told("submodule-failed", 422, "A submodule cannot be had", seen, todo, "checkout")
    await both(service, told, repo.url)


async def test_large_files_in_a_private_network(service: Service, lfs_http: LfsHost) -> None:
    """By the repository's own word, and by its server's."""
    todo = (
        "Push it to its server (`git lfs push --all`), or correct `.lfsconfig`. "
        "A network that is not open is the operator's to open."
    )
    title = "A large file cannot be had"
    config = {".lfsconfig": "[lfs]\n\turl = http://10.11.12.13/lfs\n"}
    named = large(lfs_http, {"data/a.bin": b"named"}, **config, Dockerfile=BASE)
    said = large(lfs_http, {"data/a.bin": b"said"}, Dockerfile=BASE)
    lfs_http.hrefs[hashlib.sha256(b"said").hexdigest()] = "http://10.11.12.13/a?signature=1"
    for repo in (named, said):
        seen = f"In {repo.url}, the Git LFS file “data/a.bin” cannot be had. 10.11.12.13 leads to a private address."
        await both(service, Told("lfs-failed", 422, title, seen, todo, "checkout"), repo.url)
    missing = large(lfs_http, {"data/a.bin": b"missing"}, Dockerfile=BASE)
    del lfs_http.store[hashlib.sha256(b"missing").hexdigest()]
    seen = f"In {missing.url}, the Git LFS file “data/a.bin” cannot be had. Asking {missing.url}/info/lfs failed: it does not have the file."
    await both(service, Told("lfs-failed", 422, title, seen, todo, "checkout"), missing.url)


@pytest.mark.parametrize("name, target", [("binder", "/etc"), ("Dockerfile", "/etc/passwd"), ("Dockerfile", "../../x")])
async def test_a_declaration_that_leads_out(service: Service, git_daemon: GitHost, name: str, target: str) -> None:
    repo = git_daemon.make_repo()
    (repo.work / name).symlink_to(target)
    repo.add({})
    seen = f"In {repo.url}, “{name}” is refused: it is a link that leads out of the repository."
    title, todo = "The repository's files cannot be used", "Remove or rename the file in the repository."
    await both(service, Told("checkout-refused", 422, title, seen, todo, "checkout"), repo.url)


# --------------------------------------------------------------------------- environments and builds
def failed_build(status: int, *lines: str) -> Told:
    seen = "\n".join((f"repo2docker ended with status {status}.", *lines))
    return Told("build-failed", 422, "The build failed", seen, CORRECT_BUILD, "build")


BUILDS: dict[str, tuple[dict[str, str | bytes], Told]] = {
    "two environments": (
        {"binder/Dockerfile": BASE, ".binder/Dockerfile": BASE},
        Told(
            "environment-conflict",
            422,
            "The repository declares more than one environment",
            "It has: binder/, .binder/.",
            "Keep one of them and remove the others.",
            "detect",
        ),
    ),
    "a step that fails": (
        {"Dockerfile": BASE + "RUN echo before && exit 7\n"},
        failed_build(
            7,
            "Step: [2/2] RUN echo before && exit 7",
            "Its last lines:",
            "before",
            'process "/bin/sh -c echo before && exit 7" did not complete successfully: exit code: 7',
        ),
    ),
    "no Dockerfile": (
        {"Dockerfile": "FRUM debian\n"},
        failed_build(
            1, "Its last lines:", "dockerfile parse error on line 1: unknown instruction: FRUM (did you mean FROM?)"
        ),
    ),
    "a base image that is not there": (
        {"Dockerfile": "FROM localhost/repolaunch/there-is-none:1\n"},
        Told(
            "base-image-missing",
            422,
            "The base image cannot be had",
            "The environment builds on the image “localhost/repolaunch/there-is-none:1”, which does not exist or cannot be reached from here.",
            "Correct its name in the repository, or ask the operator which images can be used.",
            "build",
        ),
    ),
    "no server": (
        {"Dockerfile": "FROM debian:trixie\n"},
        Told(
            "server-missing",
            422,
            "The image has no notebook server",
            "No single-user server is on the image's PATH (/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin).",
            "Install `jupyterhub` and `jupyterlab` in the environment.",
            "build",
        ),
    ),
    "not for an ordinary user": (
        {"Dockerfile": BASE + "USER root\nRUN chmod 700 /opt/server\n"},
        Told(
            "user-unfit",
            422,
            "The image cannot run as an ordinary user",
            "As user 1000: its /opt/server/bin/jupyterhub-singleuser is in /opt/server, which user 1000 may not enter.",
            "Let the image's files be readable, and its programs runnable, by the user with id 1000.",
            "build",
        ),
    ),
    "a volume above the workspace's files": (
        {"Dockerfile": BASE + "USER root\nRUN mkdir -p /workspace/work\nVOLUME /workspace/work\n"},
        Told(
            "volume-unfit",
            422,
            "The image declares a volume that no session can have",
            "The volume “/workspace/work” would hide the files of the workspace, which is at /workspace.",
            "Remove that `VOLUME` from the Dockerfile; where the image that it builds on declares it, use another one.",
            "build",
        ),
    ),
}


@pytest.mark.parametrize("case", BUILDS)
async def test_an_environment_that_cannot_be_had(service: Service, git_daemon: GitHost, case: str) -> None:
    files, expected = BUILDS[case]
    repo = git_daemon.make_repo(files={"notes.txt": str(time.time_ns()), **files})
    before = {one.id for one in service.containers()}
    events = await both(service, expected, repo.url)
    if expected.stage == "build":
        log = "".join(event["message"] for event in events if event["type"] == "log")
        assert "\x1b" not in log
        assert "before" in log or case != "a step that fails"
    assert [one.name for one in service.containers() if one.id not in before] == []


# --------------------------------------------------------------------------- parts that are away
class Forwarder:
    """Passes connections on, so that a part can be away without being touched. Addresses as `socket` has them."""

    def __init__(self, here: Any, there: Any) -> None:
        self.here, self.there = here, there
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self.silent = False
        """Who connects gets no answer."""

    def start(self) -> None:
        """Be there."""
        kind = socket.AF_UNIX if isinstance(self.here, str) else socket.AF_INET
        listener = self._listener = socket.socket(kind, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self.here)
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Be away: nothing listens, what is open is cut."""
        assert self._listener is not None
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()
        if isinstance(self.here, str):
            Path(self.here).unlink(missing_ok=True)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                if self.silent:
                    self._open.add(near)
                    continue
                far = socket.socket(socket.AF_UNIX if isinstance(self.there, str) else socket.AF_INET)
                far.connect(self.there)
            except OSError:
                return
            self._open |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class Faulty:
    """A service whose engine and registry are real but can be taken away, and which opens no network."""

    service: Service
    engine: Forwarder
    registry: Forwarder

    @contextlib.contextmanager
    def without(self, part: Forwarder) -> Iterator[None]:
        """The part is away for a while."""
        part.stop()
        try:
            yield
        finally:
            part.start()


@pytest.fixture(scope="module")
def faulty(
    tmp_path_factory: pytest.TempPathFactory, git_daemon: GitHost, git_http: GitHttpHost, registry: RunningRegistry
) -> Iterator[Faulty]:
    folder = tempfile.mkdtemp(prefix="rl-")  # the path of a socket has to be short
    docker_host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not docker_host.startswith("unix://"):
        pytest.skip("these tests take away an engine behind a socket")
    host, _, port = registry.host.partition(":")
    parts = (
        Forwarder(f"{folder}/engine.sock", docker_host.removeprefix("unix://")),
        Forwarder(("127.0.0.1", free_port()), (host, int(port))),
    )
    opened = ",".join(one.base.partition("://")[2] for one in (git_daemon, git_http))
    env = {
        "REPOLAUNCH_ALLOWED_NETWORKS": "",
        "REPOLAUNCH_ALLOWED_ENDPOINTS": opened,
        "REPOLAUNCH_BUILD_TIMEOUT_S": str(BUILD_S),
        "REPOLAUNCH_REGISTRY": f"127.0.0.1:{parts[1].here[1]}",
        "REPOLAUNCH_REGISTRY_TLS": "false",
        "DOCKER_HOST": f"unix://{parts[0].here}",
    }
    service = Service(tmp_path_factory.mktemp("faulty") / "data", free_port(), env)
    try:
        for part in parts:
            part.start()
        service.start()
        yield Faulty(service, *parts)
    finally:
        service.remove()
        for part in parts:
            part.stop()
        shutil.rmtree(folder)


BUILD_S = 30


def fine(git_daemon: GitHost, steps: str = "") -> Repo:
    """A repository that launches, unlike any other."""
    return git_daemon.make_repo(files={"Dockerfile": f"{BASE}RUN echo {time.time_ns()}\n{steps}"})


async def at_once(service: Service, expected: Told, url: str) -> None:
    """As `both`, but both ask at the same time: for what takes its time."""
    (found, _), last = await asyncio.gather(
        asked(service, url=url, ref="main"), streamed(service, f"/build/{link(url)}")
    )
    assert found == expected
    assert (last["phase"], last["message"], last["status_code"]) == ("failed", expected.lines, expected.status)


async def test_a_build_that_never_ends(faulty: Faulty, git_daemon: GitHost) -> None:
    repo = git_daemon.make_repo(files={"Dockerfile": f"{BASE}RUN echo {time.time_ns()} && sleep 600\n"})
    step = (repo.work / "Dockerfile").read_text().splitlines()[1]
    seen = f"It was stopped after {BUILD_S} seconds.\nStep: [2/2] {step}"
    todo = "Make the environment smaller, or ask the operator to raise `build_timeout_s`."
    await at_once(faulty.service, Told("build-timeout", 504, "The build took too long", seen, todo, "build"), repo.url)


async def test_addresses_that_are_not_open(faulty: Faulty, git_http: GitHttpHost) -> None:
    git_http.redirects["/away"] = "http://10.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        port = listener.getsockname()[1]
        for url, host, kind in (
            ("http://10.0.0.1/repo.git", "10.0.0.1", "private"),
            ("http://169.254.169.254/latest/meta-data", "169.254.169.254", "link-local"),
            ("ssh://git@192.168.0.1/repo.git", "192.168.0.1", "private"),
            ("git://0.0.0.0/repo.git", "0.0.0.0", "unspecified"),  # noqa: S104  # an address to refuse
            (f"git://127.0.0.1:{port}/repo.git", "127.0.0.1", "loopback"),
            (f"http://localhost:{port}/repo.git", "localhost", "loopback"),
            (f"http://[::1]:{port}/repo.git", "::1", "loopback"),
            (f"http://[::ffff:127.0.0.1]:{port}/repo.git", "::ffff:127.0.0.1", "loopback"),
            (f"http://2130706433:{port}/repo.git", "2130706433", "loopback"),
            (f"{git_http.base}/away/repo.git", "10.0.0.1", "private"),
        ):
            title, seen = "This address is not open to launches", f"{host} leads to a {kind} address."
            if "/away/" in url:
                seen += f"\n{url} redirects there."
            await both(faulty.service, Told("address-refused", 403, title, seen, PUBLIC, "resolve"), url)
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_the_registry_is_away(faulty: Faulty, git_daemon: GitHost) -> None:
    repo = fine(git_daemon)
    service = faulty.service
    where = f"127.0.0.1:{faulty.registry.here[1]}"
    away = f"The image registry does not answer. Asking {where} failed: nothing listens there."
    with faulty.without(faulty.registry):
        found, events = await asked(service, url=repo.url, ref="main")
        assert found.code == "ready", found
        assert f"{away} The launch goes on without it." in [
            event["message"] for event in events if event["type"] == "progress"
        ]
        again = await streamed(service, f"/build/{link(repo.url)}")
        assert again["phase"] == "ready", "the engine has the image"
        assert await until(lambda: pushes(service, events)), "a push that fails is told"
    told_of_push = pushes(service, events)[0]
    no_leak(service, told_of_push)
    failed = f'Get "http://{where}/v2/": dial tcp {where}: connect: connection refused'
    assert told_of_push == f"The image registry does not answer. Asking {where} failed: {failed}. Tried again in 1 s."
    assert await until(lambda: recorded(service, events[-1]["project"]), 200), pushes(service, events)


def recorded(service: Service, project: str) -> bool:
    """Whether the project records its image's digest: its push has ended."""
    address = f"{service.base_url}/api/v1/projects/{project}"
    request = urllib.request.Request(address, headers=service.operator)  # noqa: S310  # loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # loopback
        return "@sha256:" in json.load(answer)["image"]


async def test_the_registry_hangs(faulty: Faulty, git_daemon: GitHost) -> None:
    where = f"127.0.0.1:{faulty.registry.here[1]}"
    said = f"The image registry does not answer. Asking {where} failed: it did not answer in time. The launch goes on without it."
    faulty.registry.silent = True
    try:
        found, events = await asked(faulty.service, url=fine(git_daemon).url, ref="main")
    finally:
        faulty.registry.silent = False
        faulty.registry.stop()  # what hangs is cut
        faulty.registry.start()
    assert found.code == "ready", found
    assert said in [event["message"] for event in events if event["type"] == "progress"]


def pushes(service: Service, launch: list[dict[str, Any]]) -> list[str]:
    """What the log of the launch's build tells of pushes that went wrong: the store has it, no address shows it."""
    line = next(event["message"] for event in launch if "] RUN echo " in event.get("message", ""))
    with contextlib.closing(sqlite3.connect(service.data / "launcher" / "repolaunch.sqlite")) as database:
        rows = database.execute("select stream, body from events order by stream, n").fetchall()
    streams = {stream for stream, body in rows if json.loads(body).get("message") == line}
    told = [json.loads(body) for stream, body in rows if stream in streams]
    return [one["message"] for one in told if one.get("stage") == "push" and "Tried again" in one.get("message", "")]


async def until(happened: Any, limit_s: float = 20) -> bool:
    """Whether it happens in time."""
    deadline = time.monotonic() + limit_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


async def test_the_engine_is_away(faulty: Faulty, git_daemon: GitHost) -> None:
    expected = Told(
        "engine-down", 503, "The container engine does not answer", "Its socket is not there.", LATER, "build"
    )
    with faulty.without(faulty.engine):
        await both(faulty.service, expected, fine(git_daemon).url)
        async with aiohttp.ClientSession(faulty.service.base_url) as http, http.get("/health") as answer:
            text = await answer.text()
            assert answer.status == 503
            no_leak(faulty.service, text)


async def test_the_engine_goes_away_in_mid_build(faulty: Faulty, git_daemon: GitHost) -> None:
    repo = fine(git_daemon, "RUN sleep 10\n")
    launch = asyncio.create_task(asked(faulty.service, url=repo.url, ref="main"))
    await asyncio.sleep(5)
    with faulty.without(faulty.engine):
        found, _ = await launch
    assert (found.code, found.status, found.stage) == ("engine-down", 503, "build"), found


async def test_the_engine_is_away_when_a_session_starts(faulty: Faulty, git_daemon: GitHost) -> None:
    repo = fine(git_daemon)
    service = faulty.service
    found, events = await asked(service, url=repo.url, ref="main")
    assert found.code == "ready", found
    project = events[-1]["project"]
    http = aiohttp.ClientSession(service.base_url, headers=service.operator, timeout=LONG)
    async with http, http.delete(f"/api/v1/sessions/{project}") as answer:
        assert answer.status in {202, 204}
    with faulty.without(faulty.engine):
        found, _ = await asked(service, url=repo.url, ref="main")
    seen = "It did not answer while the session started."
    assert found == Told("engine-down", 503, "The container engine does not answer", seen, LATER, "session")
    found, _ = await asked(service, url=repo.url, ref="main")
    assert found.code == "ready", found


@contextlib.asynccontextmanager
async def held_down(service: Service) -> AsyncIterator[None]:
    """The hub is killed, and again whenever it was started."""

    async def hold() -> None:
        while True:
            with contextlib.suppress(LookupError):
                service.child("hub").kill()
            await asyncio.sleep(0.02)

    holding = asyncio.create_task(hold())
    try:
        await asyncio.sleep(0.3)
        yield
    finally:
        holding.cancel()
        await well(service)


async def well(service: Service) -> None:
    """Wait until every part answers: the hub itself, as `/health` remembers its answers for a while."""
    async with aiohttp.ClientSession(service.base_url) as http, asyncio.timeout(120):
        for path in ("/hub/api/", "/health"):
            while not await _is_well(http, path):
                await asyncio.sleep(0.3)


async def _is_well(http: aiohttp.ClientSession, path: str) -> bool:
    async with http.get(path) as answer:
        return answer.status == 200


@pytest.mark.long
async def test_the_hub_hangs(faulty: Faulty, git_daemon: GitHost) -> None:
    repo = fine(git_daemon)
    hub = faulty.service.child("hub")
    expected = Told("hub-down", 503, "JupyterHub does not answer", "It did not answer in time.", LATER, "session")
    hub.send_signal(signal.SIGSTOP)
    try:
        await at_once(faulty.service, expected, repo.url)
    finally:
        hub.send_signal(signal.SIGCONT)
    await well(faulty.service)
    found, _ = await asked(faulty.service, url=repo.url, ref="main")
    assert found.code == "ready", found


async def test_the_hub_is_killed(faulty: Faulty, git_daemon: GitHost) -> None:
    repo = fine(git_daemon)
    seen = "It does not let us connect (Connection refused)."
    expected = Told("hub-down", 503, "JupyterHub does not answer", seen, LATER, "session")
    async with held_down(faulty.service):
        await at_once(faulty.service, expected, repo.url)
    found, _ = await asked(faulty.service, url=repo.url, ref="main")
    assert found.code == "ready", found
