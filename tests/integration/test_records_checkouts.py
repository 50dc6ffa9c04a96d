"""The files of records: always the same commit for the same files, and nothing that an archive could do with them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import struct
import tarfile
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.labels import RECORD
from launcher.errors import (
    AddressRefused,
    CheckoutRefused,
    HostUnreachable,
    LauncherError,
    ProtocolRefused,
    RateLimited,
    RecordDamaged,
    RepositoryPrivate,
    RepositoryTooLarge,
)
from launcher.model import Record, RecordFile, RepoRef, ResolvedRepo
from launcher.repos.budget import Limits
from launcher.repos.checkouts import Keep
from launcher.repos.providers import parse_spec
from launcher.repos.records import pack
from tests.fixtures.kept import Kept
from tests.fixtures.providers import Said, StandIn, resolving, zipped
from tests.fixtures.registry import running_registry
from tests.fixtures.repos import git
from tests.fixtures.trees import checkouts, left_over

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Limits(bytes=1_000_000, files=50, seconds=60)
LINK, DEVICE = 0o120777, 0o020666


async def resolved(host: StandIn, doi: str) -> ResolvedRepo:
    with resolving(host.sites) as resolver:
        return await resolver.resolve(parse_spec("zenodo", doi, host.sites))


async def tree_of(host: StandIn, root: Path, files: dict[str, bytes], number: int = 1) -> dict[str, str]:
    """What a record's checkout has: each path with its mode and its bytes as text."""
    async with checkouts(root) as shared, shared.open(await resolved(host, host.zenodo(number, files))) as checkout:
        assert git(checkout.path, "status", "--porcelain") == ""
        assert git(checkout.path, "rev-parse", "HEAD^{tree}") == checkout.tree
        listed = git(checkout.path, "ls-tree", "-r", "-z", "HEAD").split("\0")
        found = {line.partition("\t")[2]: line.split()[0] for line in listed if line}
        for path, mode in found.items():
            if mode == "120000":
                found[path] += f" {(checkout.path / path).readlink()}"
            else:
                found[path] += f" {(checkout.path / path).read_text()}"
    return found


async def failure(host: StandIn, root: Path, files: dict[str, bytes], limits: Limits | None = None) -> LauncherError:
    """What getting a record's files fails with; nothing is left of it."""
    return await failed(await resolved(host, host.zenodo(1, files)), root, limits)


async def failed(repo: ResolvedRepo, root: Path, limits: Limits | None = None) -> LauncherError:
    async with checkouts(root, limits) as shared:
        with pytest.raises(LauncherError) as caught:
            async with shared.open(repo):
                pass
        assert await left_over(root) == []
    return caught.value


def entry(name: str, mode: int, system: int = 3) -> zipfile.ZipInfo:
    """An entry of a zip archive that says what it is."""
    info = zipfile.ZipInfo(name)
    info.external_attr, info.create_system = mode << 16, system
    return info


def archive(*entries: tuple[zipfile.ZipInfo | str, bytes | str]) -> bytes:
    """A zip archive of entries, whatever they say."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for info, content in entries:
            made.writestr(info, content)
    return out.getvalue()


async def test_files_become_a_commit_that_is_always_the_same(providers: StandIn, tmp_path: Path) -> None:
    doi = providers.zenodo(5, {"README.md": b"hi", 'data/größe "1"\n.csv': b"1,2\n", "empty": b""})
    commits = []
    for place in ("here", "there"):
        repo = await resolved(providers, doi)
        assert (repo.commit, repo.version) == ("", "10.5281/zenodo.5")
        async with checkouts(tmp_path / place) as shared, shared.open(repo) as checkout:
            commits.append((checkout.repo.commit, checkout.tree))
            assert checkout.repo.commit == git(checkout.path, "rev-parse", "HEAD")
            assert (checkout.path / 'data/größe "1"\n.csv').read_text() == "1,2\n"
            assert (checkout.path / "empty").read_bytes() == b""
            shown = git(checkout.path, "log", "-1", "--format=%an|%ae|%cn|%at|%ct|%s|%b")
            assert shown == (
                "repolaunch|records@repolaunch.invalid|repolaunch|1709208000|1709208000|10.5281/zenodo.5|"
                f"The files of {providers.base}/10.5281/zenodo.5"
            )
            assert git(checkout.path, "status", "--porcelain") == ""
            async with shared.open(checkout.repo) as again:
                assert again.path == checkout.path, "a build, the workspace and the archive have the same files"
    assert commits[0] == commits[1]


async def test_providers_are_told_who_asks(providers: StandIn, tmp_path: Path) -> None:
    repo = await resolved(providers, providers.zenodo(5, {"a": b"1"}))
    async with checkouts(tmp_path) as shared, shared.open(repo):
        pass
    assert len(providers.asked) == 3
    assert {headers["User-Agent"].partition("/")[0] for _, headers in providers.asked} == {"repolaunch"}


async def test_what_is_kept_is_not_downloaded_again(providers: StandIn, tmp_path: Path) -> None:
    repo = await resolved(providers, providers.zenodo(5, {"a": b"1"}))
    async with checkouts(tmp_path, keep=Keep()) as shared:
        async with shared.open(repo) as checkout:
            found = checkout.repo
        providers.asked.clear()
        for one in (repo, found):
            async with shared.open(one) as again:
                assert again.repo == found
        assert providers.asked == []


async def test_a_single_zip_archive_is_unpacked(providers: StandIn, tmp_path: Path) -> None:
    content = archive(
        ("user-repo-1234567/", b""),
        (entry("user-repo-1234567/README.md", 0o100644), "hi"),
        (entry("user-repo-1234567/bin/run", 0o100755), "#!/bin/sh\n"),
        (entry("user-repo-1234567/link", LINK), "README.md"),
        (entry("user-repo-1234567/.git/config", 0o100644), "of another clone"),
    )
    assert await tree_of(providers, tmp_path, {"some_dir/release.zip": content}) == {
        "README.md": "100644 hi",
        "bin/run": "100755 #!/bin/sh\n",
        "link": "120000 README.md",
    }


async def test_a_zip_archive_without_one_folder_stays_as_it_is(providers: StandIn, tmp_path: Path) -> None:
    found = await tree_of(providers, tmp_path, {"a.zip": zipped({"a/x": "1", "b": "2"})})
    assert found == {"a/x": "100644 1", "b": "100644 2"}


async def test_of_several_files_none_is_unpacked(providers: StandIn, tmp_path: Path) -> None:
    files = {"a.zip": zipped({"x": "1"}), "b.zip": zipped({"y": "1"})}
    repo = await resolved(providers, providers.zenodo(2, files))
    async with checkouts(tmp_path) as shared, shared.open(repo) as checkout:
        assert {one.name: one.read_bytes() for one in checkout.path.iterdir() if one.name != ".git"} == files


async def test_names_in_archives_become_text(providers: StandIn, tmp_path: Path) -> None:
    """UTF-8 that says so and that does not; the code page of DOS, its separator; two names that differ by case."""
    content = archive(
        ("größe", b"1"),
        ("qqqq", b"2"),
        ("cp437-\x81", b"3"),
        (entry("dir\\file", 0, 0), b"4"),
        ("A", b"5"),
        ("a", b"6"),
    )
    content = content.replace(b"qqqq", "öä".encode())
    found = await tree_of(providers, tmp_path, {"a.zip": content})
    assert {path: text.split()[1] for path, text in found.items()} == {
        "größe": "1",
        "öä": "2",
        "cp437-\x81": "3",
        "dir/file": "4",
        "A": "5",
        "a": "6",
    }


@pytest.mark.parametrize(
    "entries,path,reason",
    [
        ([("../out", "x"), ("b", "")], "../out", "its name climbs out of the repository"),
        ([("a/../../out", "x"), ("b", "")], "a/../../out", "its name climbs out of the repository"),
        ([("/etc/x", "x"), ("b", "")], "/etc/x", "its name climbs out of the repository"),
        ([("a//b", "x"), ("b", "")], "a//b", "its name climbs out of the repository"),
        ([(".git", "gitdir: /"), ("b", "")], ".git", "its name is that of git's own folder"),
        ([("A/.GIT/hooks/x", "x"), ("b", "")], "A/.GIT/hooks/x", "its name is that of git's own folder"),
        ([(entry("dev", DEVICE), ""), ("b", "")], "dev", "it is a device"),
        ([(entry("fifo", 0o010666), ""), ("b", "")], "fifo", "it is a pipe"),
        ([(entry("link", LINK), "x" * 5000), ("b", "")], "link", "it is a link of no sensible length"),
        ([(entry("a", LINK), "/etc"), ("a/x", "x")], "a", "it is there twice, or a file and a folder"),
        ([(entry("apt.txt", LINK), "/etc/x"), ("b", "")], "apt.txt", "it is a link that leads out of the repository"),
    ],
)  # fmt: skip
async def test_what_an_archive_must_not_have(
    providers: StandIn, tmp_path: Path, entries: list[tuple[zipfile.ZipInfo | str, str]], path: str, reason: str
) -> None:
    caught = await failure(providers, tmp_path, {"a.zip": archive(*entries)})
    assert isinstance(caught, CheckoutRefused)
    assert (caught.path, caught.reason) == (path, reason)
    assert not (tmp_path.parent / "out").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
async def test_one_name_twice(providers: StandIn, tmp_path: Path) -> None:
    caught = await failure(providers, tmp_path, {"a.zip": archive(("x", "1"), ("x", "2"))})
    assert isinstance(caught, CheckoutRefused)
    assert caught.reason == "it is there twice, or a file and a folder"


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/.git/x"])
async def test_names_of_a_records_own_files(providers: StandIn, tmp_path: Path, name: str) -> None:
    caught = await failure(providers, tmp_path, {name: b"x", "b": b""})
    assert isinstance(caught, CheckoutRefused)
    assert caught.path == name


async def test_bombs(providers: StandIn, tmp_path: Path) -> None:
    """Much from little, many from little, and an archive that lies about how much it is."""
    much = await failure(providers, tmp_path, {"a.zip": archive(("zeros", bytes(1_000_001)), ("b", ""))}, SMALL)
    assert isinstance(much, RepositoryTooLarge)
    assert (much.what, much.limit) == ("bytes", 1_000_000)
    many = await failure(providers, tmp_path, {"a.zip": zipped({str(n): "" for n in range(51)})}, SMALL)
    assert isinstance(many, RepositoryTooLarge)
    assert (many.what, many.limit) == ("files", 50)
    honest = archive(("zeros", bytes(2_000_000)))
    lies = honest.replace(struct.pack("<I", 2_000_000), struct.pack("<I", 1000))
    assert lies != honest
    lying = await failure(providers, tmp_path, {"a.zip": lies}, SMALL)
    assert isinstance(lying, CheckoutRefused)
    assert lying.path == "zeros"


async def test_archives_that_cannot_be_read(providers: StandIn, tmp_path: Path) -> None:
    good = archive(("a", os.urandom(5000)), ("b", "x"))
    broken = bytearray(good)
    broken[2000] ^= 0xFF
    damaged = await failure(providers, tmp_path, {"a.zip": bytes(broken)})
    assert isinstance(damaged, CheckoutRefused)
    assert (damaged.path, damaged.reason) == ("a", "the archive is damaged there")
    locked = bytearray(good)
    locked[6] |= 1
    locked[good.index(b"PK\x01\x02") + 8] |= 1
    encrypted = await failure(providers, tmp_path, {"a.zip": bytes(locked)})
    assert isinstance(encrypted, CheckoutRefused)
    assert (encrypted.path, encrypted.reason) == ("a", "it is encrypted")
    cut = good[:100] + good[-60:]
    unreadable = await failure(providers, tmp_path, {"a.zip": cut})
    assert isinstance(unreadable, CheckoutRefused)


@pytest.mark.parametrize(
    "said,error,reason",
    [
        (Said(b"xxxx", 200), RecordDamaged, "what came has another MD5 than the record says"),
        (Said(b"xx", 200), RecordDamaged, "2 bytes came where the record says 4"),
        (Said(b"xxxxx", 200), HostUnreachable, "it sends more than it said"),
        (Said(b"x" * 3_000_000, 200, pieces=True), RepositoryTooLarge, None),
        (Said(b"", 404), RecordDamaged, "it is gone"),
        (Said(b"", 410), RecordDamaged, "it is gone"),
        (Said(b"", 500), RecordDamaged, "its server answers with status 500"),
        (Said(b"", 403), RepositoryPrivate, None),
        (Said(b"", 302, {"Location": "http://10.0.0.1/x"}), AddressRefused, None),
        (Said(b"", 302, {"Location": "file:///etc/passwd"}), ProtocolRefused, None),
        (Said(b"", 429, {"Retry-After": "9"}), RateLimited, None),
    ],
    ids=range(11),
)
async def test_what_may_come_instead_of_a_file(
    providers: StandIn, tmp_path: Path, said: Said, error: type[LauncherError], reason: str | None
) -> None:
    repo = await resolved(providers, providers.zenodo(3, {"a": b"true"}))
    providers.answers["/api/records/3/files/0/content"] = said
    caught = await failed(repo, tmp_path, SMALL)
    assert type(caught) is error
    assert reason is None or getattr(caught, "reason", None) == reason


async def test_a_record_that_is_too_large_is_not_downloaded(providers: StandIn, tmp_path: Path) -> None:
    repo = await resolved(providers, providers.zenodo(3, {"a": bytes(600_000), "b": bytes(600_000)}))
    providers.asked.clear()
    caught = await failed(repo, tmp_path, SMALL)
    assert isinstance(caught, RepositoryTooLarge)
    assert providers.asked == []


async def test_a_slow_file(providers: StandIn, tmp_path: Path) -> None:
    repo = await resolved(providers, providers.zenodo(3, {"a": b"true"}))
    providers.answers["/api/records/3/files/0/content"] = Said(b"true", pause=5)
    caught = await failed(repo, tmp_path, replace(SMALL, seconds=1))
    assert isinstance(caught, HostUnreachable | RepositoryTooLarge)


def packed(*members: tarfile.TarInfo) -> bytes:
    """A tar archive; files are filled with `x`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as made:
        for one in members:
            made.addfile(one, io.BytesIO(b"x" * one.size))
    return out.getvalue()


def member(
    name: str, size: int = 1, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, linked: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mode, info.linkname = size if kind == tarfile.REGTYPE else 0, kind, mode, linked
    return info


FOLDER = member("top/empty", kind=tarfile.DIRTYPE, mode=0o755)


def as_tar(host: StandIn, content: bytes) -> ResolvedRepo:
    """A record that is one tar archive, as archives of whole folders give it."""
    host.answers["/a.tar.gz"] = Said(content)
    record = Record("id", 1, (RecordFile("a.tar.gz", f"{host.base}/a.tar.gz"),), "tar")
    return ResolvedRepo(RepoRef("swh", "id", f"{host.base}/id", ""), "", "", record=record)


async def test_a_tar_archive(providers: StandIn, tmp_path: Path) -> None:
    folder = member("top", kind=tarfile.DIRTYPE, mode=0o755)
    link = member("top/l", kind=tarfile.SYMTYPE, linked="run")
    repo = as_tar(providers, packed(folder, member("top/run", mode=0o755), link, member("top/d/\udcff")))
    async with checkouts(tmp_path) as shared, shared.open(repo) as checkout:
        assert git(checkout.path, "ls-tree", "-r", "--format=%(objectmode) %(path)", "HEAD").splitlines() == [
            '100644 "d/\\377"',
            "120000 l",
            "100755 run",
        ]
        assert stat.S_IMODE((checkout.path / "run").stat().st_mode) == 0o755


async def test_the_id_of_a_directory_says_what_has_to_be_in_it(providers: StandIn, tmp_path: Path) -> None:
    """The id is git's own; a folder that is empty is in it too, which git does not keep."""
    repo = as_tar(providers, packed(member("top/a"), member("top/b")))
    async with checkouts(tmp_path / "once") as shared, shared.open(repo) as checkout:
        tree = checkout.tree
    for wanted, more, right in ((tree, (), True), ("0" * 40, (), False), ("0" * 40, (FOLDER,), True)):
        repo = as_tar(providers, packed(member("top/a"), member("top/b"), *more))
        assert repo.record
        repo = replace(repo, record=replace(repo.record, tree=wanted))
        if right:
            async with checkouts(tmp_path / "right") as shared, shared.open(repo) as checkout:
                assert checkout.tree == tree
        else:
            caught = await failed(repo, tmp_path / "wrong")
            assert isinstance(caught, RecordDamaged)
            assert caught.reason == "the files that came are not those of this id"


@pytest.mark.parametrize(
    "one,reason",
    [
        (member("../x"), "its name climbs out of the repository"),
        (member("/x"), "its name climbs out of the repository"),
        (member("dev", kind=tarfile.CHRTYPE), "it is a device or a hard link"),
        (member("hard", kind=tarfile.LNKTYPE, linked="/etc/passwd"), "it is a device or a hard link"),
    ],
)
async def test_what_a_tar_archive_must_not_have(
    providers: StandIn, tmp_path: Path, one: tarfile.TarInfo, reason: str
) -> None:
    caught = await failed(as_tar(providers, packed(one, member("b"))), tmp_path)
    assert isinstance(caught, CheckoutRefused)
    assert (caught.path, caught.reason) == (one.name, reason)


async def test_tar_bombs(providers: StandIn, tmp_path: Path) -> None:
    for content, what in (
        (packed(member("a", 1_000_001)), "bytes"),
        (packed(*(member(str(n), 0) for n in range(60))), "files"),
    ):
        caught = await failed(as_tar(providers, content), tmp_path, SMALL)
        assert isinstance(caught, RepositoryTooLarge)
        assert caught.what == what
    cut = await failed(as_tar(providers, packed(member("a", 100_000))[:50]), tmp_path)
    assert isinstance(cut, CheckoutRefused)
    none = await failed(as_tar(providers, b"<!doctype html>"), tmp_path)
    assert isinstance(none, CheckoutRefused)
    assert none.reason == "it is no tar archive that can be read"


def test_what_is_too_much_is_known_before_it_is_read(tmp_path: Path) -> None:
    """A bomb costs the reading of what it says that it has, not of what it has."""
    plan = pack.Plan([], "", [("a", str(tmp_path / "a"))], "files", 0, "", 1000, 5)
    (tmp_path / "a").write_bytes(zipped({str(number): "" for number in range(6)}))
    with pytest.raises(pack.TooLarge):
        next(pack.members(plan, pack.Taken(plan)))
    (tmp_path / "a").write_bytes(zipped({"a": "", "b": bytes(1001)}))
    with pytest.raises(pack.TooLarge):
        next(pack.members(plan, pack.Taken(plan)))
    plan = replace(plan, form="tar")
    (tmp_path / "a").write_bytes(packed(member("top/a"), member("top/b", 1000)))
    with pytest.raises(pack.TooLarge):
        next(pack.members(plan, pack.Taken(plan)))


async def test_what_the_files_are_is_noted_beside_them(providers: StandIn, tmp_path: Path) -> None:
    content = b"of a record"
    doi = providers.zenodo(7, {"notes.txt": content})
    async with checkouts(tmp_path) as shared, shared.open(await resolved(providers, doi)) as checkout:
        noted = json.loads((checkout.path / RECORD).read_text())
        assert git(checkout.path, "status", "--porcelain") == ""
    assert noted == {
        "id": doi,
        "files": [
            {
                "path": "notes.txt",
                "url": f"{providers.base}/api/records/7/files/0/content",
                "size": len(content),
                "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        ],
    }


async def test_each_version_whose_files_are_gone_is_the_one_that_was_archived(
    providers: StandIn, tmp_path: Path
) -> None:
    """All of a record's versions are behind one link: that one was launched later does not make it the other one."""
    numbers = {"first": 7, "second": 8}
    with running_registry(tmp_path) as registry:
        kept = Kept(registry.host, tmp_path / "checkouts")
        known: dict[str, tuple[ResolvedRepo, str]] = {}
        async with checkouts(tmp_path, archive=kept) as shared:
            for text, number in numbers.items():
                repo = await resolved(providers, providers.zenodo(number, {"notes.txt": text.encode()}))
                # One link, as the DOI of all versions is.
                repo = replace(repo, origin=RepoRef("zenodo", "all", "https://doi.org/10.5281/zenodo.1", ""))
                async with shared.open(repo) as checkout:
                    assert not checkout.repo.archived
                    assert await kept.archive(checkout)
                    known[text] = (repo, checkout.tree)
        for path in [path for path in providers.answers if path.endswith("/content")]:
            providers.answers[path] = Said(status=404)
        async with checkouts(tmp_path / "again", archive=Kept(registry.host, tmp_path / "again/checkouts")) as shared:
            for text, (repo, tree) in known.items():
                async with shared.open(repo) as checkout:
                    assert (checkout.repo.archived, checkout.tree) == (True, tree)
                    assert (checkout.path / "notes.txt").read_text() == text
                    assert git(checkout.path, "status", "--porcelain") == ""
        async with checkouts(tmp_path / "none") as shared:
            with pytest.raises(RecordDamaged):
                await shared.open(known["first"][0]).__aenter__()
