"""What a seeded workspace looks like, for the repositories and images that there are."""

from __future__ import annotations

import io
import os
import secrets
import stat
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from launcher.errors import WorkspaceFailed
from launcher.projects.volumes import Seed
from tests.fixtures.volumes import URL, Author, Helper, git, new_id, status

if TYPE_CHECKING:
    from pathlib import Path


async def seeded(helper: Helper, seed: Seed) -> Path:
    project = new_id()
    assert await helper.volumes.create(project, seed) == "clone"
    return helper.workspace(project) / "work"


def owners(folder: Path) -> set[tuple[int, int]]:
    found = set()
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            facts = os.lstat(f"{above}/{name}")
            found.add((facts.st_uid, facts.st_gid))
    return found


async def test_a_clone_on_its_branch_with_its_remote(volume_helper: Helper, author: Author) -> None:
    author.write("notebooks/one.ipynb", b"{}")
    commit = author.commit()
    work = await seeded(volume_helper, author.checked_out(volume_helper.folders.checkouts))
    safe = ("-c", f"safe.directory={work}")
    assert git(work, *safe, "rev-parse", "HEAD") == commit
    assert git(work, *safe, "symbolic-ref", "--short", "HEAD") == "main"
    assert git(work, *safe, "remote", "get-url", "origin") == URL
    assert git(work, *safe, "status", "-sb") == "## main...origin/main"
    assert git(work, *safe, "log", "--format=%s") == "some work"
    assert git(work, *safe, "fsck", "--strict") == ""
    assert (work / "notebooks/one.ipynb").read_bytes() == b"{}"


async def test_a_detached_checkout_gives_a_detached_clone(volume_helper: Helper, author: Author) -> None:
    author.write("a")
    commit = author.commit()
    work = await seeded(volume_helper, author.checked_out(volume_helper.folders.checkouts, detached=True))
    assert (work / ".git/HEAD").read_text() == f"{commit}\n"
    assert status(work) == ""


async def test_a_branch_with_a_slash_and_a_quote(volume_helper: Helper, author: Author) -> None:
    author.write("a")
    author.commit()
    git(author.folder, "checkout", "-q", "-b", 'people/o"hara-é')
    work = await seeded(volume_helper, author.checked_out(volume_helper.folders.checkouts))
    said = git(work, "-c", f"safe.directory={work}", "status", "-sb")
    assert said == '## people/o"hara-é...origin/people/o"hara-é'


async def test_everything_belongs_to_the_session_s_user_but_the_top(volume_helper: Helper, author: Author) -> None:
    author.write("sub/a")
    author.commit()
    work = await seeded(volume_helper, author.checked_out(volume_helper.folders.checkouts))
    assert owners(work.parent) == {(1000, 1000)}
    top, home = work.parent.stat(), (work.parent / "home").stat()
    assert (top.st_uid, stat.S_IMODE(top.st_mode)) == (0, 0o755)
    assert stat.S_IMODE(home.st_mode) == 0o700
    assert sorted(path.name for path in work.parent.iterdir()) == ["home", "work"]


async def test_odd_names_come_through(volume_helper: Helper, author: Author) -> None:
    names = [b"new\nline", b"not-utf8-\xff\xfe", b"n" * 255, b" -rf *", b"tab\t\"quote'"]
    for name in names:
        author.write(name, name)
    author.commit()
    work = await seeded(volume_helper, author.checked_out(volume_helper.folders.checkouts))
    assert sorted(os.listdir(os.fsencode(work))) == sorted([*names, b".git"])  # noqa: PTH208 - names of bytes
    assert status(work) == ""


async def test_executable_bits_and_links_are_kept(volume_helper: Helper, author: Author) -> None:
    author.write("run.sh", b"#!/bin/sh\n", 0o755)
    author.write("plain", b"x", 0o644)
    (author.folder / "inside").symlink_to("plain")
    (author.folder / "outside").symlink_to("/etc/passwd")
    (author.folder / "above").symlink_to("../../../..")
    author.commit()
    work = await seeded(volume_helper, author.checked_out(volume_helper.folders.checkouts))
    assert stat.S_IMODE((work / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((work / "plain").stat().st_mode) == 0o644
    assert (work / "outside").readlink().as_posix() == "/etc/passwd"
    assert (work / "above").readlink().as_posix() == "../../../.."
    assert status(work) == ""


async def test_a_commit_without_files(volume_helper: Helper, author: Author) -> None:
    author.commit()
    work = await seeded(volume_helper, author.checked_out(volume_helper.folders.checkouts))
    assert [path.name for path in work.iterdir()] == [".git"]
    assert status(work) == ""


async def test_a_large_file(volume_helper: Helper, author: Author) -> None:
    content = os.urandom(24 * 2**20)
    author.write("large.bin", content)
    author.commit()
    work = await seeded(volume_helper, author.checked_out(volume_helper.folders.checkouts))
    assert (work / "large.bin").read_bytes() == content
    assert status(work) == ""


async def test_a_submodule_is_an_empty_folder(volume_helper: Helper, author: Author) -> None:
    author.write("a")
    commit = author.commit()
    author.write(".gitmodules", b'[submodule "sub"]\n\tpath = sub\n\turl = https://git.example/sub\n')
    git(author.folder, "update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    git(author.folder, "add", ".gitmodules")
    git(author.folder, "commit", "-q", "-m", "sub")
    work = await seeded(volume_helper, author.checked_out(volume_helper.folders.checkouts))
    assert list((work / "sub").iterdir()) == []
    assert status(work) == ""


async def test_sha256_repositories(volume_helper: Helper, tmp_path: Path) -> None:
    author = Author(tmp_path / "new", "--object-format=sha256")
    author.write("a")
    assert len(author.commit()) == 64
    work = await seeded(volume_helper, author.checked_out(volume_helper.folders.checkouts))
    assert status(work) == ""


async def test_a_folder_two_thousand_deep(volume_helper: Helper, author: Author) -> None:
    author.write("f")
    author.commit()
    blob = git(author.folder, "rev-parse", "HEAD:f")
    path = "d/" * 1900 + "f"
    git(author.folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    git(author.folder, "commit", "-q", "-m", "deep")
    checkout = volume_helper.folders.checkouts / f"co-{secrets.token_hex(4)}"
    git(volume_helper.folders.checkouts, "clone", "-q", "--no-checkout", f"file://{author.folder}", str(checkout))
    project = new_id()
    seed = Seed(checkout, URL, git(checkout, "rev-parse", "HEAD"))
    assert await volume_helper.volumes.create(project, seed) == "clone"
    deep = await volume_helper.volumes.usage(project)
    assert deep.complete
    assert deep.entries > 1900
    assert volume_helper.unfinished() == []


async def test_what_the_checkout_configures_is_not_run_and_not_kept(volume_helper: Helper, author: Author) -> None:
    author.write(".gitattributes", b"* filter=evil\n")
    author.write("a", b"clean\n")
    author.commit()
    seed = author.checked_out(volume_helper.folders.checkouts)
    hooks = seed.checkout / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        (hooks / name).write_text("#!/bin/sh\ntouch pwned\n")
        (hooks / name).chmod(0o755)
    git(seed.checkout, "config", "filter.evil.smudge", "touch pwned; echo smudged")
    git(seed.checkout, "config", "core.fsmonitor", "touch pwned")
    work = await seeded(volume_helper, seed)
    assert (work / "a").read_bytes() == b"clean\n"
    assert not (work / "pwned").exists()
    assert not (work / ".git/hooks").exists()
    assert "evil" not in (work / ".git/config").read_text()


async def test_borrowed_objects_are_refused(volume_helper: Helper, author: Author) -> None:
    author.write("a")
    author.commit()
    seed = author.checked_out(volume_helper.folders.checkouts)
    info = seed.checkout / ".git/objects/info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_text("/etc\n")
    with pytest.raises(WorkspaceFailed, match="borrows"):
        await volume_helper.volumes.create(new_id(), seed)


@pytest.mark.parametrize("reason", ["link", "up", "absolute"])
async def test_a_checkout_elsewhere_is_refused(volume_helper: Helper, author: Author, reason: str) -> None:
    author.write("a")
    author.commit()
    checkouts = volume_helper.folders.checkouts
    seed = author.checked_out(checkouts)
    link = checkouts / f"link-{secrets.token_hex(4)}"
    link.symlink_to(seed.checkout)
    elsewhere = {"link": link, "up": checkouts / "..", "absolute": author.folder}[reason]
    with pytest.raises(WorkspaceFailed):
        await volume_helper.volumes.create(new_id(), replace(seed, checkout=elsewhere))


async def test_a_link_planted_in_the_place_of_a_workspace(
    volume_helper: Helper, author: Author, tmp_path: Path
) -> None:
    author.write("a")
    author.commit()
    project = new_id()
    (tmp_path / "victim").mkdir()
    volume_helper.workspace(project).symlink_to(tmp_path / "victim")
    with pytest.raises(WorkspaceFailed):
        await volume_helper.volumes.create(project, author.checked_out(volume_helper.folders.checkouts))
    with pytest.raises(WorkspaceFailed):
        await volume_helper.volumes.usage(project)
    assert list((tmp_path / "victim").iterdir()) == []


async def test_usage_follows_no_link_of_a_session(volume_helper: Helper, author: Author) -> None:
    author.write("a")
    author.commit()
    project = new_id()
    await volume_helper.volumes.create(project, author.checked_out(volume_helper.folders.checkouts))
    before = await volume_helper.volumes.usage(project)
    work = volume_helper.workspace(project) / "work"
    (work / "everything").symlink_to("/")
    (work / "loop").symlink_to(".")
    os.mkfifo(work / "pipe")
    (work / "again").hardlink_to(work / "a")
    after = await volume_helper.volumes.usage(project)
    assert after.complete
    assert after.entries == before.entries + 4
    assert after.bytes - before.bytes <= 8192


# --------------------------------------------------------------------------- what an image carries
class Contents:
    """Writes the archive of an image's files."""

    def __init__(self, helper: Helper) -> None:
        self.image = secrets.token_hex(32)
        self.archive = tarfile.open(helper.folders.contents / f"{self.image}.tar", "w")  # noqa: SIM115

    def add(self, name: str, content: bytes = b"text\n", **fields: Any) -> None:
        entry = tarfile.TarInfo(name)
        entry.mode = 0o644
        for key, value in fields.items():
            setattr(entry, key, value)
        entry.size = len(content) if entry.isreg() else 0
        self.archive.addfile(entry, io.BytesIO(content))

    def of(self, seed: Seed) -> Seed:
        self.archive.close()
        return replace(seed, image_contents=self.image)


@pytest.fixture
def seed(volume_helper: Helper, author: Author) -> Seed:
    author.write("a")
    author.write("run.sh", mode=0o755)
    author.commit()
    return author.checked_out(volume_helper.folders.checkouts)


async def test_what_post_build_made_is_there(volume_helper: Helper, seed: Seed) -> None:
    contents = Contents(volume_helper)
    contents.add("./a")
    contents.add("run.sh", mode=0o6755)
    contents.add("data", type=tarfile.DIRTYPE, mode=0o777)
    contents.add("data/made\nby postBuild", b"made")
    contents.add("models/deep/er/m.bin", b"weights")
    contents.add("link", type=tarfile.SYMTYPE, linkname="/opt/data")
    contents.add("same", type=tarfile.LNKTYPE, linkname="data/made\nby postBuild")
    contents.add(".git/config", b"[core]\n\tfsmonitor = touch pwned\n")
    contents.add(".git/hooks/post-checkout", b"#!/bin/sh\ntouch pwned\n", mode=0o755)
    project = new_id()
    assert await volume_helper.volumes.create(project, contents.of(seed)) == "contents"
    work = volume_helper.workspace(project) / "work"
    assert (work / "data/made\nby postBuild").read_bytes() == b"made"
    assert (work / "same").read_bytes() == b"made"
    assert (work / "models/deep/er/m.bin").read_bytes() == b"weights"
    assert (work / "link").readlink().as_posix() == "/opt/data"
    assert stat.S_IMODE((work / "run.sh").stat().st_mode) == 0o755
    assert owners(work.parent) == {(1000, 1000)}
    assert "fsmonitor" not in (work / ".git/config").read_text()
    assert not (work / ".git/hooks").exists()
    assert status(work).splitlines() == ["?? data/", "?? link", "?? models/", "?? same"]


@pytest.mark.parametrize("why", ["differs", "lacks", "gone"])
async def test_contents_that_are_not_the_commit_s_are_not_used(volume_helper: Helper, seed: Seed, why: str) -> None:
    contents = Contents(volume_helper)
    contents.add("a", b"of another commit\n" if why == "differs" else b"text\n")
    if why != "lacks":
        contents.add("run.sh", mode=0o755)
    contents.add("extra")
    wanted = contents.of(seed)
    if why == "gone":
        (volume_helper.folders.contents / f"{contents.image}.tar").unlink()
    project = new_id()
    assert await volume_helper.volumes.create(project, wanted) == "clone"
    work = volume_helper.workspace(project) / "work"
    assert sorted(path.name for path in work.iterdir()) == [".git", "a", "run.sh"]
    assert status(work) == ""
    assert volume_helper.unfinished() == []


HOSTILE = {
    "absolute": [("/etc/evil", {})],
    "climbs": [("x/../../evil", {})],
    "through a link": [("x", {"type": tarfile.SYMTYPE, "linkname": "/"}), ("x/evil", {})],
    "through a link above": [("x", {"type": tarfile.SYMTYPE, "linkname": ".."}), ("x/home/evil", {})],
    "over a link": [("x", {"type": tarfile.SYMTYPE, "linkname": "/evil"}), ("x", {})],
    "hard link out": [("x", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})],
    "hard link up": [("x", {"type": tarfile.LNKTYPE, "linkname": "../home"})],
    "hard link through a link": [
        ("x", {"type": tarfile.SYMTYPE, "linkname": "/etc"}),
        ("y", {"type": tarfile.LNKTYPE, "linkname": "x/passwd"}),
    ],
    "device": [("x", {"type": tarfile.BLKTYPE, "devmajor": 8})],
    "character device": [("x", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5})],
    "pipe": [("x", {"type": tarfile.FIFOTYPE})],
    "name too long": [("n" * 256, {})],
    "file below a file": [("x", {}), ("x/y", {})],
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_archives_are_refused_whole(
    volume_helper: Helper, seed: Seed, entries: list[tuple[str, dict[str, Any]]]
) -> None:
    contents = Contents(volume_helper)
    contents.add("a")
    for name, fields in entries:
        contents.add(name, **fields)
    project = new_id()
    with pytest.raises(WorkspaceFailed, match="archive"):
        await volume_helper.volumes.create(project, contents.of(seed))
    assert not volume_helper.workspace(project).exists()
    assert volume_helper.unfinished() == []


@pytest.mark.parametrize("damage", [b"", b"no archive at all" * 100, None], ids=["empty", "nonsense", "cut"])
async def test_damaged_archives(volume_helper: Helper, seed: Seed, damage: bytes | None) -> None:
    contents = Contents(volume_helper)
    contents.add("a", b"x" * 100_000)
    wanted = contents.of(seed)
    path = volume_helper.folders.contents / f"{contents.image}.tar"
    path.write_bytes(path.read_bytes()[:50_000] if damage is None else damage)
    project = new_id()
    with pytest.raises(WorkspaceFailed, match="archive"):
        await volume_helper.volumes.create(project, wanted)
    assert volume_helper.unfinished() == []


async def test_a_file_with_many_names_counts_once(volume_helper: Helper, author: Author) -> None:
    author.write("a")
    author.commit()
    project = new_id()
    await volume_helper.volumes.create(project, author.checked_out(volume_helper.folders.checkouts))
    work = volume_helper.workspace(project) / "work"
    (work / "large").write_bytes(os.urandom(2**20))
    before = await volume_helper.volumes.usage(project)
    for number in range(20):
        (work / f"name-{number}").hardlink_to(work / "large")
    after = await volume_helper.volumes.usage(project)
    assert after.entries == before.entries + 20
    assert after.bytes - before.bytes <= 8192
