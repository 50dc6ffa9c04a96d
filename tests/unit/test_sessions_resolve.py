"""What a spawn may have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launcher.model import Image, ImageFacts, ImageRef, Project
from launcher.sessions.resolve import ARCHIVED, CERTIFICATES, NO_WALLS, Limits, Resolve, Site, allowance, environment

FACTS = ImageFacts(
    engine_id="sha256:" + "a" * 64,
    home="/home/jovyan",
    repo_dir="/home/jovyan",
    path="/srv/conda/bin:/home/jovyan/.local/bin:/usr/bin",
    server=("jupyterhub-singleuser",),
    entrypoint=("/usr/local/bin/repo2docker-entrypoint",),
    passwd="root:x:0:0::/root:/bin/sh\njovyan:x:1000:1000::/home/jovyan:/bin/bash\n",
)
PROJECT = Project(
    id="abcdefghij",
    owner="alice",
    provider="gh",
    spec="owner/repo/main",
    url="https://github.com/owner/repo",
    ref="main",
    commit="0123456789abcdef0123456789abcdef01234567",
    image=Image("0" * 64, FACTS, None),
    temporary=False,
    token_entry=False,
)
LIMITS = Limits(memory=2**30, cpus=2.0, processes=512, tmp_bytes=2**28)
SITE = Site("https://hub.example.org")


class Mounted:
    """A workspace."""

    name = "repolaunch-x-abcdefghij"
    device = "/data/workspaces/abcdefghij"


def resolve(*projects: Project) -> Resolve:
    async def find(project: str) -> Project | None:
        return {one.id: one for one in projects}.get(project)

    return Resolve(find, lambda _: Mounted(), LIMITS, SITE)


QUESTION = {"account": "project-abcdefghij", "server": "", "user_options": {"project": "abcdefghij"}}


@pytest.mark.parametrize(
    "question",
    [
        None,
        [],
        {},
        "project-abcdefghij",
        QUESTION | {"account": "alice"},
        QUESTION | {"account": "project-klmnopqrst"},
        QUESTION | {"account": "project-abcdefghij\n"},
        QUESTION | {"account": 7},
        QUESTION | {"server": "second"},
        QUESTION | {"user_options": None},
        QUESTION | {"user_options": {}},
        QUESTION | {"user_options": {"project": "klmnopqrst"}},
        QUESTION | {"user_options": {"project": "abcdefghij", "image": "evil"}},
    ],
)
async def test_whoever_is_not_a_project_asking_for_itself_is_refused(question: object) -> None:
    answer = await resolve(PROJECT).answer(question)
    assert (answer.status, answer.body) == (403, {"message": "Only a project has a session, and only its own."})


async def test_without_walls_nothing_starts() -> None:
    """The rules of what sessions may reach are not set: the guard's note says so."""
    open_ = resolve(PROJECT)
    closed = Resolve(open_._find, open_._mount, open_._limits, open_._site, walls=lambda: False)
    assert (await open_.answer(QUESTION)).status == 200
    answer = await closed.answer(QUESTION)
    assert (answer.status, answer.body) == (503, {"message": NO_WALLS})


async def test_a_project_that_is_gone_is_refused() -> None:
    assert (await resolve().answer(QUESTION)).status == 404


async def test_a_project_that_is_archived_is_refused() -> None:
    answer = await resolve(replace(PROJECT, archived=1.0)).answer(QUESTION)
    assert (answer.status, answer.body) == (403, {"message": ARCHIVED})


async def test_a_project_gets_its_own() -> None:
    answer = await resolve(PROJECT).answer(QUESTION)
    assert answer.status == 200
    body: dict[str, Any] = answer.body
    assert body["image"] == FACTS.engine_id
    assert body["volume"] == {"name": Mounted.name, "device": Mounted.device, "target": "/workspace"}
    assert (body["memory"], body["cpu"], body["pids"]) == (2**30, 2.0, 512)
    assert body["user"] == "1000:1000"
    assert (body["passwd"], body["certificates"]) == (FACTS.passwd, False)
    again = await resolve(PROJECT).answer(QUESTION)
    assert again == answer


@pytest.mark.parametrize(
    "listed, token_entry, argument",
    [
        ((), True, ""),
        (("*",), False, ""),
        (("https://book.example.org",), False, ""),
        (("*", "https://book.example.org"), True, "--ServerApp.allow_origin=*"),
        (
            ("https://book.example.org", "http://127.0.0.1:9000"),
            True,
            r"--ServerApp.allow_origin_pat=(https://book\.example\.org|http://127\.0\.0\.1:9000)$",
        ),
    ],
)
def test_other_sites_pages_reach_only_what_a_program_started(
    listed: tuple[str, ...], token_entry: bool, argument: str
) -> None:
    """A session that is entered by cookie is nobody's but the person's."""
    project, site = replace(PROJECT, token_entry=token_entry), replace(SITE, allow_origin=listed)
    args = allowance(project, LIMITS, site, Mounted()).args
    assert [one for one in args if "origin" in one] == [argument] * bool(argument)


def test_a_pushed_image_is_named_by_its_registry_digest() -> None:
    ref = ImageRef("127.0.0.1:5000", "repolaunch/env", "sha256:" + "b" * 64)
    pushed = replace(PROJECT, image=replace(PROJECT.image, ref=ref))
    assert allowance(pushed, LIMITS, SITE, Mounted()).image == f"127.0.0.1:5000/repolaunch/env@sha256:{'b' * 64}"


def test_the_environment() -> None:
    assert environment(PROJECT, SITE) == {
        "HOME": "/workspace/home",
        "USER": "jovyan",
        "PATH": "/workspace/home/.local/bin:/srv/conda/bin:/home/jovyan/.local/bin:/usr/bin",
        "JUPYTER_PATH": "/home/jovyan/.local/share/jupyter",
        "JUPYTER_CONFIG_PATH": "/home/jovyan/.jupyter:/home/jovyan/.local/etc/jupyter",
        "JUPYTER_RUNTIME_DIR": "/tmp/jupyter-runtime",  # noqa: S108  # in the session
        "JUPYTERHUB_ROOT_DIR": "/workspace/work",
        "JUPYTERHUB_DEFAULT_URL": "/lab",
        "BINDER_REPO_URL": "https://github.com/owner/repo",
        "BINDER_REF_URL": "https://github.com/owner/repo/tree/0123456789abcdef0123456789abcdef01234567",
        "BINDER_LAUNCH_HOST": "https://hub.example.org/",
        "BINDER_REQUEST": "v2/gh/owner/repo/main",
        "BINDER_PERSISTENT_REQUEST": "v2/gh/owner/repo/0123456789abcdef0123456789abcdef01234567",
    }


def test_the_reference_of_a_link_may_have_slashes() -> None:
    project = replace(PROJECT, spec="owner/repo/feature/x", ref="feature/x")
    values = environment(project, SITE)
    assert values["BINDER_PERSISTENT_REQUEST"] == f"v2/gh/owner/repo/{PROJECT.commit}"
    project = replace(PROJECT, provider="git", spec="https%3A%2F%2Fh%2Fr/feature/x")
    assert environment(project, SITE)["BINDER_PERSISTENT_REQUEST"] == f"v2/git/https%3A%2F%2Fh%2Fr/{PROJECT.commit}"


def test_a_token_in_the_address_is_for_programs_only() -> None:
    assert environment(replace(PROJECT, token_entry=True), SITE)["JUPYTERHUB_ALLOW_TOKEN_IN_URL"] == "1"
    assert "JUPYTERHUB_ALLOW_TOKEN_IN_URL" not in environment(PROJECT, SITE)


def test_an_images_own_packages_stay_importable() -> None:
    folder = "/home/jovyan/.local/lib/python3.12/site-packages"
    image = replace(PROJECT.image, facts=replace(FACTS, user_site=(folder,)))
    assert environment(replace(PROJECT, image=image), SITE)["PYTHONPATH"] == folder


def test_an_images_own_kernels_are_found_where_it_says() -> None:
    folders = ("/nix/store/x-env/share/jupyter", "/opt/kernels")
    image = replace(PROJECT.image, facts=replace(FACTS, jupyter_path=folders))
    found = environment(replace(PROJECT, image=image), SITE)["JUPYTER_PATH"]
    assert found == "/home/jovyan/.local/share/jupyter:" + ":".join(folders)


def test_certificates_are_mounted_and_named_where_the_site_has_some() -> None:
    site = Site("https://hub.example.org", certificates=True)
    allowed = allowance(PROJECT, LIMITS, site, Mounted())
    assert allowed.certificates
    names = ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")
    assert {allowed.environment[name] for name in names} == {CERTIFICATES}
