"""From an author's files to a derivation, with the real daemon, sandbox and `guix` command.

Stand-ins, as tests/fixtures/guix.py has them: the seeds, and the channel `guix`. The same flow against Guix's own
channel: test_guix_real.py.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.errors import BuildDiskFull, BuildFailed, BuildOutOfMemory, BuildTimeout, EnvironmentBroken, StoreUnfit
from builders.guix.build import build
from builders.guix.evaluate import ENDED, VERSION, Evaluated, evaluate
from builders.guix.files import look
from builders.guix.source import prepare
from builders.guix.tool import STATE, tool
from builders.interface import Limits, Workshop
from builders.lines import Line, Log, Step
from builders.oci import closure
from builders.sandbox import daemon, evaluator
from builders.sandbox_door import Rights
from tests.fixtures.guix import repository

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from builders.guix.build import Profile
    from builders.guix.means import Means
    from builders.sandbox import Daemon
    from tests.fixtures.guix import StandInChannel

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
MANIFEST = '(specifications->manifest \'("hello" "stand-in-busybox"))\n'
NEW_USER = 0x10000000
"""CLONE_NEWUSER."""


class Guix:
    """Evaluations and builds in one store."""

    def __init__(self, workshop: Workshop, means: Means) -> None:
        self.workshop, self.means = workshop, means
        self.told: list[Line] = []

    def steps(self) -> list[str]:
        """Since the last question."""
        found = [line.text for line in self.told if isinstance(line, Step)]
        self.told.clear()
        return found

    async def evaluate(self, directory: Path) -> Evaluated:
        files = look(directory)
        assert files is not None
        async with daemon(tool(folders=self.means.folders), self.workshop, network=False) as of:
            return await evaluate(of, directory, files, self.means, self.told.append)

    async def build(self, derivation: str) -> Profile:
        async with daemon(tool(folders=self.means.folders), self.workshop, network=False) as of:
            prepare(of, None)
            return await build(of, derivation, "test", self.means, self.told.append)

    def read(self, path: str) -> str:
        """A file of the store."""
        return (self.workshop.stores / path[1:]).read_text()


@pytest.fixture
def guix(guix_workshop: Workshop, guix_means: Means) -> Guix:
    return Guix(guix_workshop, guix_means)


@pytest.mark.long
async def test_two_pinned_commits_of_a_stand_in_channel_are_two_environments(
    tmp_path: Path, guix: Guix, channel: StandInChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for number, commit in enumerate(channel.commits):
        files = repository(tmp_path / str(number), channels_scm=channel.scheme(commit), manifest_scm=MANIFEST)
        found = await guix.evaluate(files)
        assert (found.loose, found.advice) == ((), ())
        assert f"building Guix {commit[:12]}" in guix.steps()
        profile = await guix.build(found.derivation)
        said.append((found.derivation, profile.path))
        hello = next(path for path in profile.closure.paths if path.endswith("-hello-1"))
        assert f"echo hello, {('one', 'two')[number]}" in guix.read(f"{hello}/bin/hello")
        assert profile.variables == {
            "PATH": f"{profile.path}/bin",
            "JUPYTER_PATH": f"{profile.path}/share/jupyter",
        }
    assert len({path for pair in said for path in pair}) == 4
    monkeypatch.setattr(closure, "MOST", 3)
    with pytest.raises(StoreUnfit, match="store paths, and an image has at most 3") as caught:
        await guix.build(said[0][0])
    assert caught.value.path == said[0][1]
    monkeypatch.undo()

    # What is there is not fetched or built again, and another text of the same environment is the same derivation.
    guix.told.clear()
    again = repository(
        tmp_path / "again",
        binder__channels_scm=channel.scheme(channel.commits[0]),
        binder__manifest_scm=f";x\n{MANIFEST}",
    )
    assert (await guix.evaluate(again)).derivation == said[0][0]
    assert guix.steps() == ["reading binder/channels.scm", "evaluating binder/manifest.scm"]
    root = guix.workshop.stores / STATE / "gcroots" / "repolaunch" / "test"
    assert str(root.readlink()) == said[1][1]


@pytest.mark.long
async def test_the_real_time_machine_has_the_same_derivation_of_a_stand_in_channel(
    tmp_path: Path, guix: Guix, channel: StandInChannel
) -> None:
    """`guix time-machine -C channels.scm -- repl -- environment.scm …`, in one process, in an evaluator."""
    files = repository(tmp_path / "r", channels_scm=channel.scheme(channel.commits[1]), manifest_scm=MANIFEST)
    ours = await guix.evaluate(files)
    roots = guix.workshop.stores / STATE / "gcroots" / "repolaunch"
    profiles = {str(root.readlink()) for root in roots.iterdir()}
    async with daemon(tool(folders=guix.means.folders), guix.workshop, network=False) as of:
        prepare(of, files)
        travel = (guix.means.command, "time-machine", "-C", "/source/repository/channels.scm")
        asked = ("repl", "--", "/source/scheme/environment.scm", "manifest", "/source/repository/manifest.scm")
        # Its notes of whose profile it is.
        keeps = {"profiles": "/var/guix/profiles"}
        status, text = await said(of, *travel, "--", *asked, keeps=keeps)
        assert status == 0, text
        assert f'"derivation": "{ours.derivation}"' in text
        status, text = await said(of, *travel, keeps=keeps)
    assert text.splitlines()[-1] in profiles, "and the same Guix"


# --------------------------------------------------------------------------- layouts
async def test_a_package_is_what_it_is_built_with(tmp_path: Path, guix: Guix) -> None:
    package = """(use-modules (stand-in seeds))
(shell-package "mine" "1" "exit 1" #:inputs* `(("busybox" ,busybox)))
"""
    manifest = "(use-modules (stand-in seeds))\n(packages->manifest (list busybox))\n"
    found = await guix.evaluate(repository(tmp_path / "package", guix_scm=package))
    same = await guix.evaluate(repository(tmp_path / "manifest", binder__manifest_scm=manifest))
    assert found.derivation == same.derivation
    where = "no channels.scm beside it says which Guix it is for"
    assert found.loose == (f"guix.scm:1: {where}; this site used Guix {VERSION}",)
    assert same.loose == (f"binder/manifest.scm:1: {where}; this site used Guix {VERSION}",)
    assert found.advice == ("guix describe --format=channels > channels.scm",)


async def test_the_image_has_the_guix_that_is_told(guix: Guix) -> None:
    async with daemon(tool(), guix.workshop, network=False) as of:
        (of.source / "repository").mkdir()
        _, text = await said(of, "guix", "--version")
    assert text.splitlines()[0] == f"guix (GNU Guix) {VERSION}"


@pytest.mark.long
async def test_a_stand_in_channel_without_commit_is_told_with_its_line(
    tmp_path: Path, guix: Guix, channel: StandInChannel
) -> None:
    """And a site's own channels are used for an author who names none."""
    latest = channel.commits[1]
    pinned = repository(tmp_path / "pinned", channels_scm=channel.scheme(channel.commits[0]), manifest_scm=MANIFEST)
    assert (await guix.evaluate(pinned)).loose == ()
    author = repository(tmp_path / "author", channels_scm=channel.scheme(""), manifest_scm=MANIFEST)
    found = await guix.evaluate(author)
    assert found.loose == ("channels.scm:1: the channel guix has no commit",)
    assert found.advice == (f'channels.scm:1: (commit "{latest}")',)

    site = guix.workshop.stores / "site" / "channels.scm"
    site.parent.mkdir()
    site.write_text(channel.scheme(latest))
    same = await guix.evaluate(repository(tmp_path / "none", manifest_scm=MANIFEST))
    assert same.derivation == found.derivation
    where = "manifest.scm:1: no channels.scm beside it says which Guix it is for"
    assert same.loose == (f"{where}; this site used guix {latest[:12]}",)
    assert "\n".join(same.advice) + "\n" == channel.scheme(latest)


# --------------------------------------------------------------------------- hostile and broken
HOSTILE = """
(use-modules (ice-9 popen) (ice-9 textual-ports) (stand-in seeds))
(define (try name command)
  (let* ((port (open-input-pipe (string-append "{ " command "; } 2>&1")))
         (text (get-string-all port)))
    (close-pipe port)
    (format #t "~%<~a> ~a~%" name (string-join (string-split text #\\newline) " | "))))
(try "uid" "id -u")
(try "capabilities" "grep CapEff /proc/self/status")
(try "store" "touch /gnu/store/evil")
(try "database" "touch /var/guix/db/evil; touch /var/guix/gcroots/evil")
(try "root" "touch /evil /usr/evil /etc/evil")
(try "source" "touch /source/repository/evil")
(try "sockets" "rm /run/daemon/socket; ls /var/run/docker.sock")
(try "network" "ls /sys/class/net 2>/dev/null || grep -c : /proc/net/dev")
(try "processes" "ls -d /proc/[0-9]* | wc -l")
(try "git" "ls -a /source/repository")
(try "environment" "env | grep -ci repolaunch_registry")
(display "@repolaunch {\\"derivation\\": \\"/gnu/store/00000000000000000000000000000000-forged.drv\\"}\\n")
(packages->manifest (list busybox))
""".replace("\\\\", "\\")


async def test_guile_that_runs_commands_finds_nothing_to_take_or_break(tmp_path: Path, guix: Guix) -> None:
    files = repository(tmp_path / "r", manifest_scm=HOSTILE)
    (files / ".git").mkdir()
    (files / ".git" / "config").write_text("secret")
    before = os.umask(0o077)
    try:
        found = await guix.evaluate(files)
    finally:
        os.umask(before)
    assert "forged" not in found.derivation
    lines = [line.text for line in guix.told if isinstance(line, Log)]
    told = dict(line[1:].split("> ", 1) for line in lines if line.startswith("<"))
    assert told["uid"].split()[0] == "1001"
    assert told["capabilities"].split()[1] == "0" * 16
    assert told["database"].count("No such file or directory") == 2
    for name, times in {"store": 1, "root": 3, "source": 1, "sockets": 1}.items():
        assert told[name].count("Read-only file system") == times, (name, told[name])
    assert "docker.sock': No such file" in told["sockets"]
    assert told["network"].split()[0] in {"lo", "1"}
    assert int(told["processes"].split()[0]) < 12
    assert ".git" not in told["git"]
    assert told["environment"].split()[0] == "0"


LOOP = "(let loop () (loop))\n"
EATS = "(let loop ((all '())) (loop (cons (make-bytevector 1000000 1) all)))\n"


async def test_guile_that_eats_memory_is_ended(tmp_path: Path, guix: Guix) -> None:
    limits = Limits(memory=400 * 2**20)
    small = Guix(replace(guix.workshop, limits=limits), guix.means)
    source = f"(use-modules (rnrs bytevectors))\n{EATS}"
    with pytest.raises(BuildOutOfMemory) as caught:
        await small.evaluate(repository(tmp_path / "r", manifest_scm=source))
    assert (caught.value.bytes, caught.value.step) == (limits.memory, "evaluating manifest.scm")


@pytest.mark.parametrize(
    "limit,looping,step",
    [("READ_S", "channels_scm", "reading channels.scm"), ("EVALUATION_S", "manifest_scm", "evaluating manifest.scm")],
)
async def test_guile_that_loops_is_ended(
    tmp_path: Path,
    guix: Guix,
    engine: docker.DockerClient,
    installation: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    limit: str,
    looping: str,
    step: str,
) -> None:
    monkeypatch.setattr(f"builders.guix.evaluate.{limit}", 4)
    with pytest.raises(BuildTimeout) as caught:
        await guix.evaluate(repository(tmp_path / "r", **({"manifest_scm": MANIFEST} | {looping: LOOP})))
    assert (caught.value.seconds, caught.value.step) == (4, step)
    containers = engine.containers.list(all=True, filters={"label": f"repolaunch.installation={installation}"})
    assert containers == []
    assert list((guix.workshop.stores / "run").iterdir()) == []


FILLS = """(use-modules (guix derivations) (guix monads) (guix profiles) (guix store) (stand-in seeds))
(define package (shell-package "fills" "1" "{script}; $BB sleep 100"))
{before}
(packages->manifest (list package))
"""
BUILDS = """(format #t "@ build-started /gnu/store/../../../../../ - x86_64-linux /x 3~%")
(parameterize ((current-build-output-port (%make-void-port "w")))
  (with-store store (build-derivations store (list (run-with-store store (lower-object package))))))
"""
"""It asks for no traces of builds, and shows none but one that is forged."""


@pytest.mark.parametrize(
    "script,before",
    [
        pytest.param("$BB head -c 400000000 /dev/zero >$out", "", id="its output", marks=pytest.mark.long),
        pytest.param("$BB head -c 400000000 /dev/zero >beside", "", id="beside it", marks=pytest.mark.long),
        pytest.param("$BB head -c 400000000 /dev/zero >$out", BUILDS, id="while it is evaluated"),
    ],
)
async def test_a_step_that_fills_the_disk_is_ended(tmp_path: Path, guix: Guix, script: str, before: str) -> None:
    small = Guix(replace(guix.workshop, limits=replace(guix.workshop.limits, disk=200 * 2**20)), guix.means)
    manifest = FILLS.replace("{script}", script).replace("{before}", before)
    with pytest.raises(BuildDiskFull) as caught:
        await small.build((await small.evaluate(repository(tmp_path / "r", manifest_scm=manifest))).derivation)
    step = "building /gnu/store/../../../../../" if before else "building fills-1"
    assert (caught.value.bytes, caught.value.step) == (200 * 2**20, step)


@pytest.mark.parametrize(
    "files,step,words",
    [
        ({"manifest_scm": "(foo)"}, "evaluating manifest.scm", "foo: unbound variable"),
        (
            {"manifest_scm": '(specifications->manifest (list "nonesuch"))'},
            "evaluating manifest.scm",
            "unknown package",
        ),
        ({"manifest_scm": "3"}, "evaluating manifest.scm", "did not return a manifest"),
        ({"guix_scm": "(("}, "evaluating guix.scm", "\nguix.scm:1:3: missing closing parenthesis"),
        ({"guix_scm": "3"}, "evaluating guix.scm", "did not return a package"),
        ({"manifest_scm": "3", "channels_scm": "3"}, "reading channels.scm", "did not return a list of channels"),
    ],
)
async def test_what_is_broken_is_told_in_guix_own_words(
    tmp_path: Path, guix: Guix, files: dict[str, str], step: str, words: str
) -> None:
    with pytest.raises(BuildFailed) as caught:
        await guix.evaluate(repository(tmp_path / "r", **files))
    error = caught.value
    assert (error.builder, error.step, error.status) == ("guix", step, 1)
    assert words in "\n".join(("", *error.tail)), error.tail


@pytest.mark.parametrize(
    "files,path",
    [
        ({"manifest_scm": "(exit 3)"}, "manifest.scm"),
        pytest.param({"binder__guix_scm": "(exit)"}, "binder/guix.scm", marks=pytest.mark.long),
        pytest.param({"manifest_scm": "(primitive-exit 3)"}, "manifest.scm", marks=pytest.mark.long),
        ({"manifest_scm": '(display "done") (primitive-exit 0)'}, "manifest.scm"),
        pytest.param(
            {"manifest_scm": MANIFEST, "channels_scm": "(primitive-exit 0)"}, "channels.scm", marks=pytest.mark.long
        ),
    ],
)
async def test_a_file_that_ends_the_evaluation_is_told_so(
    tmp_path: Path, guix: Guix, files: dict[str, str], path: str
) -> None:
    with pytest.raises(EnvironmentBroken) as caught:
        await guix.evaluate(repository(tmp_path / "r", **files))
    assert (caught.value.path, caught.value.reason) == (path, ENDED)


async def test_a_channel_of_this_network_is_refused_before_anything_is_fetched(tmp_path: Path, guix: Guix) -> None:
    real = Guix(guix.workshop, replace(guix.means, schemes=("https",)))
    source = '(list (channel (name (quote guix)) (url "https://169.254.169.254/x") (commit "%s")))' % ("0" * 40)
    with pytest.raises(EnvironmentBroken) as caught:
        await real.evaluate(repository(tmp_path / "r", channels_scm=source, manifest_scm=MANIFEST))
    reason = "the address of the channel guix, 169.254.169.254, is none of the internet"
    assert (caught.value.path, caught.value.reason) == ("channels.scm", reason)


# --------------------------------------------------------------------------- the sandbox of builds
LOOK = """
(use-modules (guix derivations) (guix monads) (guix store))
(with-store store
  (let* ((seed (add-to-store store "seed" #t "sha256" "/stand-in/seed/busybox"))
         (busybox (string-append seed "/bin/busybox"))
         (script "b=$BB; echo $($b ls /) / $($b cut -d: -f1 -s /proc/net/dev) / $($b id -u) / $$ >$out")
         (step (run-with-store store
                 (raw-derivation "look" busybox (list "sh" "-euc" script)
                                 #:env-vars `(("BB" . ,busybox)) #:sources (list seed)))))
    (build-derivations store (list step))
    (format #t "~%~a~%" (derivation->output-path step))))
"""


async def test_every_step_is_in_a_sandbox(guix: Guix) -> None:
    async with daemon(tool(folders=guix.means.folders), guix.workshop, network=True) as of:
        (of.source / "repository").mkdir()
        (of.source / "look.scm").write_text(LOOK)
        status, text = await said(of, "guix", "repl", "--", "/source/look.scm")
    assert status == 0, text
    root, network, _, number = guix.read(text.splitlines()[-1]).strip().split(" / ")
    assert root == "dev etc gnu proc tmp"
    assert network == "lo"
    assert int(number) == 1, "it sees no process but its own"


EVIL = """
(use-modules (guix derivations) (guix monads) (guix store))
(define script "b=$BB
$b echo began >$out
for path in $GIVEN $GIVEN/file $FILE; do
  for how in '$b chmod 777 $path' '$b mount -o remount,bind,rw $path' '$b echo POISON >>$path' '$b touch $path/new' \\\\
             '$b mv $path $path-other' '$b rm -r $path'; do
    if eval $how 2>/dev/null; then $b echo $how $path >>$out; fi
  done
done")
(with-store store
  (let* ((seed (add-to-store store "seed" #t "sha256" "/stand-in/seed/busybox"))
         (busybox (string-append seed "/bin/busybox"))
         (given (add-to-store store "given" #t "sha256" "/source/given"))
         (file (add-text-to-store store "a-file" "hi"))
         (step (run-with-store store
                 (raw-derivation "evil" busybox (list "sh" "-uc" script)
                                 #:env-vars `(("BB" . ,busybox) ("GIVEN" . ,given) ("FILE" . ,file) ("b" . ,busybox))
                                 #:sources (list seed given file)))))
    (build-derivations store (list step))
    (format #t "~%@ ~a ~a ~a~%" (derivation->output-path step) given file)))
"""


async def test_a_step_cannot_change_what_it_is_given(guix: Guix) -> None:
    """One uid owns the store and runs the steps: what others have built is in their sandboxes to be read."""
    async with daemon(tool(folders=guix.means.folders), guix.workshop, network=False) as of:
        (of.source / "repository").mkdir()
        (of.source / "given").mkdir()
        (of.source / "given" / "file").write_text("hi")
        (of.source / "evil.scm").write_text(EVIL)
        status, text = await said(of, "guix", "repl", "--", "/source/evil.scm")
    assert status == 0, text
    (line,) = (line for line in text.splitlines() if line.startswith("@ "))
    _, built, given, file = line.split()
    assert guix.read(built) == "began\n"
    assert (guix.read(f"{given}/file"), guix.read(file)) == ("hi", "hi")
    places = [guix.workshop.stores / path[1:] for path in (given, f"{given}/file", file)]
    assert [place.stat().st_mode & 0o222 for place in places] == [0, 0, 0]
    assert [one.name for one in places[0].iterdir()] == ["file"]


async def test_a_daemon_that_cannot_make_a_sandbox_builds_nothing(guix: Guix, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = {"action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM}
    flags = [{"index": 0, "value": NEW_USER, "valueTwo": NEW_USER, "op": "SCMP_CMP_MASKED_EQ"}]
    rules = [{**closed, "names": ["clone"], "args": flags}, {**closed, "names": ["unshare"]}]
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS})
    profile = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})
    monkeypatch.setattr("builders.sandbox_files.profile", lambda: profile)
    async with daemon(tool(folders=guix.means.folders), guix.workshop, network=False) as of:
        (of.source / "repository").mkdir()
        (of.source / "look.scm").write_text(LOOK)
        status, text = await said(of, "guix", "repl", "--", "/source/look.scm")
    assert status == 1
    assert "Operation not permitted" in text


async def said(of: Daemon, *argv: str, keeps: dict[str, str] | None = None) -> tuple[int, str]:
    """Status and output of a command that the evaluator runs."""
    async with evaluator(of, ("sh", "-c", 'exec "$@" 2>&1', "sh", *argv), Rights(keeps=keeps or {})) as running:
        lines = [line async for line in running.child.lines()]
        ending = await running.ending()
    return ending.status, "\n".join(lines)
