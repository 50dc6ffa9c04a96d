"""Large repositories on real git hosts: how long a checkout takes and how much disk at most, one line of JSON each.

`make test-repos-big`: 200,000 files; 2 GB in one file and one in many; 100,000 commits, by branch, by commit and by a
short id; and each once more with a limit that it passes. Ends with status 1 where one is not as it should be.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import LauncherError
from launcher.explain import explain
from launcher.repos.addresses import AddressPolicy
from launcher.repos.budget import Limits
from launcher.repos.checkouts import GitCheckouts, Keep
from launcher.repos.providers import parse_url
from launcher.repos.resolver import GitResolver
from tests.fixtures.repos import start_git_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fixtures.repos import Repo

FILES, COMMITS, MIB = 200_000, 100_000, 2**20
LARGE = Limits(bytes=3 * 2**30, files=FILES)


def many_files() -> Iterator[bytes]:
    """So many small files in a thousand folders."""
    yield b"commit refs/heads/main\ncommitter A <a@b> 1700000000 +0000\ndata 1\nx\n"
    for number in range(FILES):
        text = b"%d\n" % number
        yield b"M 100644 inline d%d/f%d\ndata %d\n%s\n" % (number % 1000, number, len(text), text)


def two_gigabytes() -> Iterator[bytes]:
    """Forty files of 50 MiB that do not compress, cheaply made: a block of noise, shifted each time."""
    noise = Path("/dev/urandom").open("rb").read(MIB)  # noqa: SIM115  # read at once
    yield b"commit refs/heads/main\ncommitter A <a@b> 1700000000 +0000\ndata 1\nx\n"
    for number in range(40):
        yield b"M 100644 inline large%d.bin\ndata %d\n" % (number, 50 * MIB)
        for block in range(50):
            at = (number * 50 + block) * 509 % MIB
            yield noise[at:] + noise[:at]
        yield b"\n"


def long_history() -> Iterator[bytes]:
    """So many commits, each of one small change."""
    for number in range(COMMITS):
        yield b"commit refs/heads/main\ncommitter A <a@b> %d +0000\ndata 1\nx\n" % (1700000000 + number)
        text = b"%d\n" % number
        yield b"M 100644 inline f%d\ndata %d\n%s\n" % (number % 100, len(text), text)


def filled(repo: Repo, stream: Iterator[bytes]) -> None:
    """Hand it to `git fast-import`."""
    with tempfile.TemporaryFile() as whole:
        whole.writelines(stream)
        whole.seek(0)
        argv = ["git", "-C", str(repo.path), "-c", "core.compression=0", "-c", "core.bigFileThreshold=1m"]
        argv += ["fast-import", "--quiet", "--force"]
        subprocess.run(argv, stdin=whole, check=True)


class Peak(threading.Thread):
    """The most disk that a folder takes, looked at all the time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.most, self.ended = folder, 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            self.most = max(self.most, taken(self.folder))


def taken(folder: Path) -> int:
    """Bytes of disk: small files take whole blocks."""
    said = subprocess.run(["du", "-s", "-B1", "--", str(folder)], capture_output=True, text=True, check=False).stdout
    return int(said.split()[0]) if said else 0


async def tried(name: str, repo: Repo, ref: str, limits: Limits, root: Path) -> str:
    """Resolve and check out, and print. Returns the code of the error, or `""`."""
    policy = AddressPolicy(["127.0.0.0/8"])
    resolver = GitResolver(policy, ("git",), timeout_s=300, scratch=root)
    shared = GitCheckouts(root, policy, ("git",), limits, Keep(bytes=2**40))
    peak, told, begun, between = Peak(root), "", time.monotonic(), 0.0
    await shared.recover()
    peak.start()
    try:
        resolved = await resolver.resolve(parse_url(repo.url, ref))
        between = time.monotonic()
        async with shared.open(resolved):
            pass
    except LauncherError as error:
        told = explain(error).seen
    ended = time.monotonic()
    peak.ended.set()
    await shared.close()
    resolver.close()
    facts = {
        "what": name,
        "resolve_s": round((between or ended) - begun, 2),
        "checkout_s": round(ended - (between or ended), 2),
        "peak_disk_mib": peak.most // MIB,
        "refused": told,
    }
    print(json.dumps(facts, ensure_ascii=False), flush=True)
    return told


LIMITED = "limited"
HOW = {
    "by branch": ("main", 0),
    LIMITED: ("main", 0),
    "by commit": ("main~50000", 40),
    "by short id": ("main~50000", 12),
}
"""What the link says: a name, or so many digits of what it names."""
CASES = (
    ("200,000 files", many_files, (("by branch", LARGE), (LIMITED, Limits(files=FILES - 1)))),
    ("2 GB", two_gigabytes, (("by branch", LARGE), (LIMITED, Limits(bytes=500 * MIB)))),
    ("100,000 commits", long_history, (("by branch", LARGE), ("by commit", LARGE), ("by short id", LARGE))),
)


async def main() -> int:
    """Make the repositories, try each."""
    folder = Path(tempfile.mkdtemp(prefix="repos-big-"))
    (folder / "host").mkdir()
    host, daemon = start_git_daemon(folder / "host")
    wrong = []
    try:
        for what, stream, tries in CASES:
            begun = time.monotonic()
            repo = await asyncio.to_thread(host.make_repo, "", {})
            await asyncio.to_thread(filled, repo, stream())
            print(json.dumps({"made": what, "seconds": round(time.monotonic() - begun, 1)}), flush=True)
            for how, limits in tries:
                name, digits = HOW[how]
                ref = repo.commit_of(name)[:digits] if digits else name
                told = await tried(f"{what}, {how}", repo, ref, limits, folder / f"out-{how}-{what}")
                wrong += [what] if bool(told) != (how == LIMITED) else []
    finally:
        daemon.kill()
        daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
