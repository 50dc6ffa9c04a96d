"""What an author's Guile may ask of guix-daemon, by the real daemon: what evaluating needs, and nothing else.

It speaks to the daemon by Guix's own `(guix store)`. Stand-ins: the seeds, as tests/fixtures/guix.py has them.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builders.collect.clear import clear_stores
from builders.guix.builder import Guix
from builders.guix.caches import copied_or_built
from builders.guix.evaluate import evaluate
from builders.guix.files import look
from builders.guix.patience import SILENT
from builders.guix.tool import tool
from builders.lines import Line, Log, Step
from builders.process import Command, running
from builders.sandbox import daemon, evaluator
from builders.variables import GUIX
from builders.worker import peer
from tests.fixtures.cache_host import URL
from tests.fixtures.guix import of_a_service, repository

if TYPE_CHECKING:
    from builders.guix.evaluate import Evaluated
    from builders.guix.means import Means
    from builders.interface import Workshop
    from builders.sandbox import Daemon
    from builders.server import Server

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

OTHERS = """
(use-modules (guix store))
(with-store store (display (add-text-to-store store "of-somebody-else" "secret")))
"""
ASKS = """
(use-modules (guix store) (guix serialization) (ice-9 ftw) (ice-9 textual-ports) (srfi srfi-34) (stand-in seeds))
(define others "{others}")
(define (note name value)
  (format #t "~%<~a> ~a~%" name value))
(define-syntax-rule (try name body ...)
  (note name (catch #t
               (lambda ()
                 (guard (c ((store-protocol-error? c) (string-append "refused: " (store-protocol-error-message c))))
                   body ...))
               (lambda (key . rest) (format #f "~a ~s" key rest)))))
(define-syntax-rule (ask name store body ...)
  (try name (with-store store body ...)))
(define (raw store . numbers)
  (for-each (lambda (number) (write-int number (store-connection-socket store))) numbers)
  (force-output (store-connection-socket store))
  ((@@ (guix store) process-stderr) store (current-output-port)))

(ask "collect" store (collect-garbage store))
(ask "delete" store (delete-paths store (list others)))
(ask "live" store (live-paths store))
(ask "dead" store (dead-paths store))
(ask "all" store (raw store 23))
(ask "roots" store (find-roots store))
(ask "root" store (add-indirect-root store "/tmp/root"))
(ask "temporary" store (add-temp-root store others))
(ask "who" store (referrers store others))
(ask "info" store (query-path-info store others))
(ask "hash" store (hash-part->path store (string-take (basename others) 32)))
(ask "verify" store (verify-store store #:check-contents? #t #:repair? #t))
(ask "optimize" store (optimize-store store))
(ask "repair" store (build-things store (list others) (build-mode repair)))
(ask "export" store ((@@ (guix store) export-path) store others (current-output-port)))
(ask "import" store (raw store 27))
(ask "unknown" store (raw store 99))
(try "listing" (scandir "/gnu/store"))
(try "links" (scandir "/gnu/store/.links"))
(try "state" (scandir "/var/guix"))
(try "known" (call-with-input-file others get-string-all))
(ask "wishes" store
     (set-build-options store #:substitute-urls '("http://169.254.169.254/") #:max-build-jobs 99 #:keep-failed? #t)
     (add-text-to-store store "of-mine" "mine"))
(packages->manifest (list busybox))
"""
REFUSED = {
    "collect": "collect-garbage",
    "delete": "collect-garbage",
    "live": "collect-garbage",
    "dead": "collect-garbage",
    "all": "query-all-valid-paths",
    "roots": "find-roots",
    "root": "add-indirect-root",
    "temporary": "add-temp-root",
    "who": "query-referrers",
    "info": "query-path-info",
    "hash": "query-path-from-hash-part",
    "verify": "verify-store",
    "optimize": "optimize-store",
    "export": "export-path",
    "import": "import-paths",
    "unknown": "99",
}


@pytest.fixture
def told() -> list[Line]:
    return []


def notes(told: list[Line]) -> dict[str, str]:
    lines = [line.text for line in told if isinstance(line, Log)]
    return dict(line[1:].split("> ", 1) for line in lines if line.startswith("<"))


async def of_somebody_else(of: Daemon) -> str:
    """A path that another evaluation has put into the store, and nobody has rooted."""
    (of.source / "others.scm").write_text(OTHERS)
    async with evaluator(of, ("guix", "repl", "--", "/source/others.scm")) as running:
        said = "\n".join([line async for line in running.child.lines()])
        assert (await running.ending()).status == 0
    found = re.search(r"/gnu/store/[0-9a-z]{32}-of-somebody-else", said)
    assert found, said
    return found[0]


async def test_guile_asks_the_daemon_only_for_what_evaluating_needs(
    tmp_path: Path, guix_workshop: Workshop, guix_means: Means, told: list[Line]
) -> None:
    async with daemon(tool(folders=guix_means.folders), guix_workshop, network=False) as of:
        others = await of_somebody_else(of)
        directory = repository(tmp_path / "r", manifest_scm=ASKS.replace("{others}", others))
        files = look(directory)
        assert files is not None
        found = await evaluate(of, directory, files, guix_means, told.append)
    said = notes(told)
    for name, operation in REFUSED.items():
        words = f"refused: “{operation}” is not asked of the daemon by what is being evaluated"
        assert said[name] == words
    assert said["repair"] == "refused: a number is larger than 0"
    # A folder that cannot be read is no list of names; what is known by its name is read.
    assert (said["listing"], said["links"], said["state"], said["known"]) == ("#f", "#f", "(. ..)", "secret")
    assert said["wishes"].endswith("-of-mine")
    for path in (others, said["wishes"], found.derivation):
        assert (guix_workshop.stores / path[1:]).is_file()
    store = guix_workshop.stores / "gnu" / "store"
    assert [stat.S_IMODE(one.stat().st_mode) for one in (store, store / ".links")] == [0o711, 0o711]


READS = """
(use-modules (ice-9 ftw))
(format #t "~%<sockets> ~a~%" (scandir "/run/daemon"))
(format #t "~%<store> ~a~%" (scandir "/gnu/store"))
(list)
"""


async def test_a_list_of_channels_is_read_without_a_daemon(
    tmp_path: Path, guix_workshop: Workshop, guix_means: Means, told: list[Line]
) -> None:
    directory = repository(tmp_path / "r", channels_scm=READS, manifest_scm="3")
    files = look(directory)
    assert files is not None
    async with daemon(tool(folders=guix_means.folders), guix_workshop, network=False) as of:
        with pytest.raises(Exception, match=r"channels\.scm"):
            await evaluate(of, directory, files, guix_means, told.append)
    assert notes(told) == {"sockets": "#f", "store": "#f"}


SLOW = """
(use-modules (guix store) (stand-in seeds))
(format #t "~%<made> ~a~%" (with-store store (add-text-to-store store "just-made" "by an evaluation under way")))
(force-output)
(sleep 5)
(packages->manifest (list busybox))
"""


async def test_the_store_is_not_cleared_up_while_something_is_evaluated(
    tmp_path: Path, guix_workshop: Workshop, guix_means: Means, small_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small_server.program
    told: list[Line] = []
    stores = guix_workshop.stores
    directory = repository(tmp_path / "r", manifest_scm=SLOW)
    monkeypatch.setenv(GUIX, of_a_service(guix_means, stores))
    builder = Guix()
    declared = builder.detect(directory)
    assert declared is not None
    evaluating = asyncio.create_task(builder.inputs(directory, declared, "linux/amd64", guix_workshop, told.append))
    async with asyncio.timeout(300):
        while "made" not in notes(told):
            await asyncio.sleep(0.05)
        clearing = asyncio.create_task(clear_stores(guix_workshop, told.append))
        found = await evaluating
    made = stores / notes(told)["made"][1:]
    assert made.is_file()
    assert (stores / found.digest.split()[0][1:]).is_file(), "nor in the moment in which it ended"
    assert not any(isinstance(line, Step) and line.text.startswith("collecting") for line in told)
    await clearing
    assert not made.exists()


WAITS = """
(use-modules (guix derivations) (guix monads) (guix store) (srfi srfi-34) (stand-in seeds))
(define-syntax-rule (try name store body ...)
  (format #t "~%<~a> ~a~%" name
          (guard (c ((store-protocol-error? c) (store-protocol-error-message c)))
            (with-store store
              (set-build-options store #:print-build-trace #t #:print-extended-build-trace? #t
                                 #:multiplexed-build-output? #t)
              body ...))))
(define others "/gnu/store/00000000000000000000000000000000-of-others")
(try "asks" store (substitutable-paths store (list others)))
(try "builds" store (build-derivations store (list (run-with-store store (lower-object busybox)))))
(with-store store (substitutable-path-info store (list others)))
(packages->manifest (list busybox))
"""
SILENT_S, LONG_S = 2, 150


async def test_an_evaluation_waits_a_bounded_time_for_a_cache_that_accepts_and_never_answers(
    tmp_path: Path,
    guix_workshop: Workshop,
    guix_means: Means,
    cache_host: Path,
    told: list[Line],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cache_host.name
    monkeypatch.setattr("builders.guix.tool.QUIET_S", SILENT_S)
    monkeypatch.setattr("builders.guix.evaluate.EVALUATION_S", LONG_S)
    directory = repository(tmp_path / "r", manifest_scm=WAITS)
    files = look(directory)
    assert files is not None
    said = []

    async def evaluates(of: Daemon) -> Evaluated:
        said.append(notes(told))
        told.clear()
        return await evaluate(of, directory, files, guix_means, told.append)

    means = replace(guix_means, substitutes=(f"{URL}/silent",))
    found = await copied_or_built(means, guix_workshop, evaluates, told.append)
    (_, waited), answered = said, notes(told)
    assert waited == {"asks": SILENT, "builds": SILENT}
    assert answered == {"asks": "()", "builds": "#t"}
    assert found.derivation.endswith("-profile.drv")


async def test_the_gate_is_no_trusted_user(tmp_path: Path) -> None:
    """guix-daemon trusts root: it asks the kernel who connects."""
    asked: list[int] = []

    async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(peer(writer))
        writer.close()

    await asyncio.to_thread(tmp_path.chmod, 0o755)
    server = await asyncio.start_unix_server(connected, tmp_path / "daemon")
    (tmp_path / "daemon").chmod(0o666)
    places = (str(tmp_path / "gate"), str(tmp_path / "daemon"))
    argv = (sys.executable, "-m", "builders.guix.gate", *places, "1001", "0", "0")
    async with running(Command(argv, dict(os.environ), cwd=ROOT, leash=True)) as child, asyncio.timeout(60):
        while not (tmp_path / "gate").exists():
            assert not child.ended
            await asyncio.sleep(0.02)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "gate")
        assert await reader.read() == b""
        writer.close()
        assert child.stdin is not None
        child.stdin.close()
        assert await child.wait() == 0
    server.close()
    assert asked == [os.getuid() or 1001]
