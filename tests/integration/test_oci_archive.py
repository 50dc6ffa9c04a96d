"""What a registry keeps beside images: commits' files, and papers about images. On a real registry."""

from __future__ import annotations

import io
import json
import secrets
import subprocess
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from builders.errors import BuildBroken, RegistryDown
from builders.interface import Inputs, Order, Workshop
from builders.labels import REVISION_LABEL, SOURCE_LABEL
from builders.lines import Found
from builders.oci import archive, provenance
from builders.oci.access import Access
from builders.oci.archive import Origin, commit_tag, find, keep, ref_tag, restore
from builders.oci.closure import Closure
from builders.oci.image import MANIFEST_TYPE, digest_of
from builders.oci.push import publish
from builders.oci.referrers import EMPTY, Descriptor, Paper, artifact, attach, papers
from builders.oci.registry import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.registry import RunningRegistry

URL = "https://git.example/a.git"
MOST = 2**30


@pytest.fixture
def repository(registry: RunningRegistry) -> Iterator[Repository]:
    with closing(Repository(Access(registry.host, tls=False), f"t{secrets.token_hex(6)}/source")) as one:
        yield one


@pytest.fixture
def checkout(tmp_path: Path) -> tuple[Path, Origin]:
    """A clone with what people have: programs, links that lead out, folders that nobody may write, odd names."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "näme\nwith a line").write_text(secrets.token_hex(8))
    (folder / "closed").mkdir()
    (folder / "closed" / "x").write_text("x")
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *arguments], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (folder / "closed").chmod(0o555)
    return folder, Origin(URL, "main", commit, "refs/heads/main", "git:1")


def test_a_commit_comes_back_as_it_was(repository: Repository, checkout: tuple[Path, Origin], tmp_path: Path) -> None:
    folder, origin = checkout
    assert keep(repository, folder, origin, MOST)
    assert find(repository, URL, "main") == origin
    assert find(repository, URL, origin.commit) == origin
    assert find(repository, URL, "other") is None
    assert find(repository, "https://git.example/b.git", "main") is None
    back = tmp_path / "back"
    assert restore(repository, URL, origin.commit, back, None) == origin
    assert (
        subprocess.run(["git", "-C", str(back), "status", "--porcelain"], check=True, capture_output=True).stdout == b""
    )
    assert subprocess.run(["git", "-C", str(back), "fsck"], check=False, capture_output=True).returncode == 0
    kinds = {str(path.relative_to(folder)): path.lstat().st_mode for path in folder.rglob("*")}
    assert {str(path.relative_to(back)): path.lstat().st_mode for path in back.rglob("*")} == kinds
    assert (back / "out").readlink().as_posix() == "/etc/passwd"


def test_what_is_there_is_not_sent_again_and_a_link_that_moves_is_noted(
    repository: Repository, checkout: tuple[Path, Origin]
) -> None:
    folder, origin = checkout
    first = keep(repository, folder, origin, MOST)
    assert keep(repository, folder.with_name("gone"), origin, MOST) == first, "nothing is read"
    moved = Origin(URL, "main", "e" * 40, "refs/heads/main", "git:2")
    assert keep(repository, folder, moved, MOST)
    found = find(repository, URL, "main")
    assert found is not None
    assert found.commit == "e" * 40
    assert find(repository, URL, origin.commit) == origin


def test_what_is_too_large_is_not_kept(repository: Repository, checkout: tuple[Path, Origin]) -> None:
    folder, origin = checkout
    assert keep(repository, folder, origin, 1000) == ""
    assert find(repository, URL, "main") is None


def packed(*members: tuple[str, bytes, str]) -> bytes:
    """An archive of members: name, type, target or contents."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as made:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(text)
            else:
                member.linkname = text
            made.addfile(member, io.BytesIO(text.encode()))
    return file.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        (("../out", tarfile.REGTYPE, "x"),),
        (("/tmp/out", tarfile.REGTYPE, "x"),),  # noqa: S108  # a name that is refused
        (("a", tarfile.LNKTYPE, "/etc/passwd"),),
        (("a", tarfile.FIFOTYPE, ""),),
        (("a", tarfile.SYMTYPE, "/"), ("a/out", tarfile.REGTYPE, "x")),
        (("a", tarfile.REGTYPE, "x"), ("a", tarfile.REGTYPE, "y")),
    ],
)
def test_what_no_checkout_holds_is_refused(
    repository: Repository, tmp_path: Path, members: tuple[tuple[str, bytes, str], ...]
) -> None:
    data = packed(*members)
    origin = Origin(URL, "main", "a" * 40, "", "git:1")
    store(repository, origin, data, Descriptor(archive.KIND, digest_of(data), len(data)))
    with pytest.raises((BuildBroken, OSError)):
        restore(repository, URL, "a" * 40, tmp_path / "back", None)
    assert list(tmp_path.iterdir()) == []


def store(repository: Repository, origin: Origin, data: bytes, blob: Descriptor) -> None:
    repository.put(EMPTY)
    repository.put(data)
    manifest = artifact(archive.KIND, blob, None, {"org.repolaunch.source": json.dumps(vars_of(origin))})
    repository.put_manifest(commit_tag(URL, "a" * 40), manifest)


def vars_of(origin: Origin) -> dict[str, str]:
    return {name: getattr(origin, name) for name in Origin.__dataclass_fields__}


def test_another_commits_files_under_its_name(repository: Repository, tmp_path: Path) -> None:
    data = packed(("a", tarfile.REGTYPE, "x"))
    other = Origin(URL, "main", "b" * 40, "", "git:1")
    store(repository, other, data, Descriptor(archive.KIND, digest_of(data), len(data)))
    with pytest.raises(BuildBroken, match="another commit"):
        restore(repository, URL, "a" * 40, tmp_path / "back", None)


def test_a_manifest_that_cannot_be_read(repository: Repository) -> None:
    repository.put(EMPTY)
    strange = artifact("x/y", Descriptor("x/y", digest_of(EMPTY), len(EMPTY)), None, {})
    repository.put_manifest(ref_tag(URL, "main"), strange)
    with pytest.raises(RegistryDown):
        find(repository, URL, "main")


def test_papers_belong_to_their_image_and_are_there_once(repository: Repository) -> None:
    repository.put(EMPTY)
    image = artifact("x/image", Descriptor("x/image", digest_of(EMPTY), len(EMPTY)), None, {})
    repository.put_manifest("tag", image)
    of = Descriptor(MANIFEST_TYPE, digest_of(image), len(image))
    assert papers(repository, of.digest) == []
    one, two = Paper("application/vnd.in-toto+json", b'{"a":1}'), Paper("application/vnd.cyclonedx+json", b'{"b":2}')
    first = attach(repository, of, one)
    assert attach(repository, of, one) == first
    attach(repository, of, two)
    assert papers(repository, of.digest) == [one, two]
    assert papers(repository, "sha256:" + "0" * 64) == []


def test_other_bytes_than_those_that_were_asked_for(repository: Repository) -> None:
    with pytest.raises(RegistryDown):
        repository.blob("sha256:" + "1" * 64)


def test_a_password(registry_with_password: RunningRegistry, checkout: tuple[Path, Origin], tmp_path: Path) -> None:
    folder, origin = checkout
    how = Access(registry_with_password.host, registry_with_password.login, tls=False)
    with closing(Repository(how, f"t{secrets.token_hex(6)}/source")) as repository:
        assert keep(repository, folder, origin, MOST)
        assert restore(repository, URL, origin.commit, tmp_path / "back", None) == origin
    without = Access(registry_with_password.host, tls=False)
    with closing(Repository(without, "t/source")) as repository, pytest.raises(RegistryDown):
        find(repository, URL, "main")


def test_where_an_image_came_from_is_kept_beside_it(repository: Repository, tmp_path: Path) -> None:
    repository.put(EMPTY)
    image = artifact("x/image", Descriptor("x/image", digest_of(EMPTY), len(EMPTY)), None, {})
    repository.put_manifest("tag", image)
    digest, engine_id = digest_of(image), "sha256:" + "9" * 64
    found = Found("repo2docker", "1", ("Dockerfile",), "f" * 64, "linux/amd64", "not-pinned", ("Dockerfile:1: x",), ())
    labels = {SOURCE_LABEL: URL, REVISION_LABEL: "c" * 40}
    order = Order(tmp_path, found, Inputs("git:1"), "x:y", labels, 0, Workshop(tmp_path / "stores"))
    told = provenance.about(order)
    provenance.save(tmp_path / "stores", engine_id, told)
    assert provenance.find(tmp_path / "stores", engine_id) == told
    assert provenance.find(tmp_path / "stores", "sha256:" + "8" * 64) is None
    publish(tmp_path / "stores", engine_id, f"{repository.registry}/{repository.name}:tag", digest)
    (paper,) = papers(repository, digest)
    said = json.loads(paper.data)
    assert said["subject"] == [
        {"name": f"{repository.registry}/{repository.name}", "digest": {"sha256": digest.removeprefix("sha256:")}}
    ]
    source = said["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    assert source == {"uri": f"git+{URL}@{'c' * 40}", "digest": {"gitCommit": "c" * 40}}
    with pytest.raises(RegistryDown):
        provenance.publish(repository, "sha256:" + "7" * 64, told, Closure({}))
