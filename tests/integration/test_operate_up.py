"""What an operator types: `make run` twice, `projects`, `stop`, `doctor`, and each where it cannot work."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self

import psutil
import pytest

from launcher.operate.installation import free_port, open_installation
from launcher.operate.noted import read
from tests.fixtures.service import ROOT, Service
from tests.kills import truths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fixtures.build_engine import RunningBuildEngine
    from tests.fixtures.registry import RunningRegistry

UP = ROOT / "deploy" / "setup" / "up.sh"
PARTS = {"registry", "proxy", "hub", "worker", "launcher"}
LOOKED_AT = {"engine", "buildx", "base image", "build engine", "runtime", "egress", "clock", "descriptors"} | {
    "programs",
    "disk",
    "engine disk",
    "stores",
    "policy",
    "credentials",
}


def repolaunch(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """One command of the command line, to its end."""
    env = os.environ | {f"REPOLAUNCH_{name}": value for name, value in settings.items()}
    argv = [sys.executable, "-m", "launcher", *arguments]
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)


def findings(*arguments: str, **settings: str) -> dict[str, dict[str, Any]]:
    """What `doctor` finds, by name."""
    done = repolaunch("doctor", "--json", *arguments, **settings)
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert done.returncode == (0 if all(one["ok"] for one in found.values()) else 1)
    return found


class MakeRun:
    """`make run` after its set-up: the script that it becomes."""

    def __init__(self, data: Path, port: int) -> None:
        self.env = {name: value for name, value in os.environ.items() if name not in {"REPO", "REF"}}
        self.env |= {"DATA": str(data), "PORT": str(port)}
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            ["bash", str(UP)],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("Press Ctrl-C"):
                return self
        raise AssertionError("\n".join(self.lines))

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        assert self.process.stdout is not None
        self.lines += [line.rstrip() for line in self.process.stdout]
        self.process.stdout.close()
        assert self.process.wait(timeout=60) == 0, "\n".join(self.lines)

    def after(self, words: str) -> str:
        """What follows these words, on the one line that begins with them."""
        (line,) = [line for line in self.lines if line.startswith(words)]
        return line.removeprefix(words).strip()

    def stages(self) -> set[str]:
        return {line.split()[0] for line in self.lines if line.startswith("  ") and not line.startswith("  (")}


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Service]:
    """A data folder and a port; what is made there is removed."""
    one = Service(tmp_path / "data", free_port())
    try:
        yield one
    finally:
        one.remove()


def test_make_run_twice(where: Service) -> None:
    """The first builds and prints how to get in; the second finds the same project again and builds nothing."""
    with MakeRun(where.data, where.port) as first:
        assert first.after("Open this link:") == first.after("Link to share:")
        assert first.after("Link to share:").startswith(f"{where.base_url}/v2/")
        session = first.after("Your session:")
        with urllib.request.urlopen(session, timeout=30) as answer:  # noqa: S310  # our own service
            assert answer.status == 200
            assert "JupyterLab" in answer.read().decode()
        sign_in = next(line.split()[4] for line in first.lines if line.startswith("Members sign in at"))
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert 'type="password"' in opener.open(sign_in, timeout=30).read().decode()
        (project,) = json.loads(repolaunch("projects", "--data", str(where.data), "--json").stdout)
        assert project["state"] == "running"
        assert f"/{project['id']}/" in session.replace("project-", "")
        _only_the_owner_reads(where.data)
        _stop(where, project["id"])
        notes = where.data / "workspaces" / project["id"] / "work"
        (notes / "kept.txt").write_text("kept")
    assert "Stopped." in first.lines
    assert not [line for line in first.lines if "Traceback" in line]
    assert repolaunch("projects", "--data", str(where.data)).stderr == (
        "The service does not run on this data folder. Start it with `repolaunch up`.\n"
    )
    with MakeRun(where.data, where.port) as second:
        (again,) = json.loads(repolaunch("projects", "--data", str(where.data), "--json").stdout)
        assert (again["id"], again["state"]) == (project["id"], "running")
        assert (notes / "kept.txt").read_text() == "kept"
        assert second.after("Link to share:") == first.after("Link to share:")
        assert "build" not in second.stages()
    assert [one.name for one in where.containers() if one.status == "running"] == []


def _stop(where: Service, project: str) -> None:
    done = repolaunch("stop", project, "--data", str(where.data))
    assert (done.returncode, done.stdout) == (0, "The session is stopped; its workspace stays.\n")
    assert re.search(rf"^{project}  stopped ", repolaunch("projects", "--data", str(where.data)).stdout)


def _only_the_owner_reads(data: Path) -> None:
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    for path in data.rglob("*.sqlite*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for path in (data / "logs").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for name in ("hub", "logs", "registry", "run", "secrets", "contents"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o700, name


def test_doctor_where_all_is_well(service: Service, build_engine: RunningBuildEngine) -> None:
    found = findings("--data", str(service.data), BUILD_ENGINE=str(build_engine.folder))
    assert {one["name"] for one in found.values() if not one["ok"]} <= {"disk", "engine disk"}
    assert found.keys() == PARTS | LOOKED_AT
    assert found["egress"]["seen"].startswith("filtered by ")
    assert found["launcher"]["seen"] == "answers"


def test_after_a_killed_up_the_next_one_replaces_what_it_left(where: Service) -> None:
    where.start()
    before = {name: where.child(name) for name in PARTS}
    where.kill()
    assert all(one.is_running() for one in before.values()), "a killed `up` takes nothing with it"
    where.start()
    after = {name: where.child(name) for name in PARTS}
    assert not {one.pid for one in before.values()} & {one.pid for one in after.values()}
    assert not [one for one in before.values() if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert findings("--data", str(where.data))["worker"]["seen"] == "answers"
    after["hub"].kill()
    _wait_for(lambda: findings("--data", str(where.data))["hub"]["seen"].startswith("answers; it ended once"))
    where.stop()
    assert not [one for one in after.values() if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_a_second_up_and_a_stale_note(where: Service) -> None:
    """One data folder, one `up`; a note that names a process of somebody else's leads to nobody's end."""
    where.start()
    before = {name: where.child(name).pid for name in PARTS}
    second = repolaunch("up", "--no-example", "--data", str(where.data), "--port", str(free_port()))
    assert (second.returncode, second.stdout, second.stderr) == (
        1,
        "",
        "The service already runs on this data folder. Stop it first, or choose another folder with --data.\n",
    )
    assert {name: where.child(name).pid for name in PARTS} == before
    where.kill()
    note = where.data / "run" / "service.json"
    with subprocess.Popen(["sleep", "60"]) as other:
        note.write_text(json.dumps(json.loads(note.read_text()) | {"pid": str(other.pid)}))
        done = repolaunch("restart", "--data", str(where.data))
        assert (done.returncode, done.stderr) == (
            1,
            "The service does not run on this data folder. Start it with `repolaunch up`.\n",
        )
        time.sleep(0.2)  # SIGUSR2 would have ended it by now
        assert other.poll() is None
        other.kill()


@pytest.mark.long
def test_a_terminal_that_is_closed_stops_the_service(where: Service) -> None:
    """As Ctrl-C does, though nobody reads any more what it says; under `nohup` it goes on."""
    shell = f"exec {sys.executable} -m launcher up --no-example --data {where.data} --port {where.port}"
    env = os.environ | {"REPOLAUNCH_ALLOWED_NETWORKS": "127.0.0.0/8"}
    for nohup in ("trap '' HUP; ", ""):
        master, terminal = pty.openpty()
        up = subprocess.Popen(["bash", "-c", nohup + shell], cwd=ROOT, env=env, stdin=terminal, stdout=terminal,
                              stderr=terminal, start_new_session=True)  # fmt: skip
        os.close(terminal)
        said = b""
        while b"Ready: " not in said:
            said += os.read(master, 4096)
        processes = [process for _, process in truths.marked(where.data / "run" / "children.json")]
        assert len(processes) == len(PARTS)
        os.close(master)  # the kernel tells the terminal's first process: SIGHUP
        up.send_signal(signal.SIGHUP)
        if nohup:
            time.sleep(1)
            assert up.poll() is None
            up.terminate()
        assert up.wait(timeout=60) == 0
        assert truths.marked(where.data / "run" / "children.json") == []
        assert not (where.data / "run" / "service.json").exists()


def test_an_up_that_is_told_to_stop_while_it_starts(where: Service) -> None:
    """It ends well, what a killed one left is gone, and nothing of its own is left."""
    said, note = where.data.parent / "data-up.log", where.data / "run" / "children.json"
    for moment in ("left its launcher behind", "proxy is ready"):
        where.start()
        where.kill()
        assert len(truths.marked(note)) == len(PARTS)
        before = said.stat().st_size
        where.begin()
        while moment not in said.read_text()[before:]:
            time.sleep(0.01)
        where.stop()
        assert where.process is not None
        assert where.process.returncode == 0, said.read_text()[-2000:]
        assert truths.marked(note) == [], moment
    assert where.containers() == []


def test_an_up_that_is_killed_while_it_starts(where: Service) -> None:
    """At any moment: the next one finds all that was started, and each part runs once."""
    for seconds in (0.5, 1.5, 2.5, 4):
        where.begin()
        time.sleep(seconds)
        where.kill()
    where.start()
    assert truths.parts(where, sorted(PARTS)) == []
    where.stop()
    assert truths.marked(where.data / "run" / "children.json") == []


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.5)


def test_doctor_where_the_service_does_not_run(tmp_path: Path) -> None:
    open_installation(tmp_path / "data")
    done = repolaunch("doctor", "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    for name in ("proxy", "hub", "worker", "launcher"):
        assert re.search(rf"^FAIL  {name} +does not run on this data folder\n +Start it with `repolaunch up`\.$",
                         done.stdout, re.MULTILINE), done.stdout  # fmt: skip
    assert re.search(r"^FAIL  build engine +does not answer\n +Look at the log of", done.stdout, re.MULTILINE)
    shared = findings("--data", str(tmp_path / "data"), BUILD_ENGINE="shared")["build engine"]
    seen = "the engine of the sessions, where builds have no limits"
    assert (shared["ok"], shared["seen"]) == (True, seen)
    assert re.search(r"^FAIL  registry +does not answer$", done.stdout, re.MULTILINE)
    assert re.search(r"^ok    engine ", done.stdout, re.MULTILINE)


def test_doctor_asks_the_registry_that_is_configured(
    tmp_path: Path, registry_with_tls: RunningRegistry, registry_with_password: RunningRegistry
) -> None:
    open_installation(tmp_path / "data")
    data, host = ("--data", str(tmp_path / "data")), registry_with_tls.host
    well = findings(*data, REGISTRY=host, REGISTRY_CA_FILE=str(registry_with_tls.ca_file))["registry"]
    assert (well["ok"], well["seen"], well["todo"]) == (True, f"{host} answers", "")
    strange = findings(*data, REGISTRY=host)["registry"]
    assert (strange["ok"], strange["seen"]) == (False, f"{host} has a certificate that is not trusted")
    assert "registry_ca_file" in strange["todo"]
    locked = findings(*data, REGISTRY=registry_with_password.host, REGISTRY_TLS="false")["registry"]
    assert (locked["ok"], locked["seen"]) == (True, f"{registry_with_password.host} answers")
    nobody = f"127.0.0.1:{free_port()}"
    away = findings(*data, REGISTRY=nobody, REGISTRY_TLS="false")["registry"]
    assert (away["ok"], away["seen"]) == (False, f"{nobody} does not answer")


@pytest.mark.parametrize(
    "command", [("projects",), ("stop", "abcdefghjk"), ("launch", "https://x.example/a.git"), ("doctor",)]
)
def test_a_folder_that_is_none_is_not_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = repolaunch(*command, "--data", str(tmp_path / "typo"))
    assert done.returncode == 1
    assert done.stderr == (
        f"There is no installation in {tmp_path}/typo. Name its data folder with --data, "
        "or make one with `repolaunch up`.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_what_the_service_refuses_is_said_in_sentences(service: Service) -> None:
    done = repolaunch("stop", "abcdefghjk", "--data", str(service.data))
    assert done.returncode == 1
    assert done.stderr.startswith("There is no such project. No project that you may see"), done.stderr
    done = repolaunch("launch", "file:///etc", "--data", str(service.data))
    assert done.returncode == 1
    assert "This is a path on one computer. “file:///etc” is a path" in done.stdout + done.stderr


NOT_STARTED = [
    ({"HUB_CONFIG": "/nonexistent"}, "hub_config is '/nonexistent'", "the file cannot be read"),
    ({"REGISTRY_CA_FILE": "/nonexistent"}, "registry_ca_file is '/nonexistent'", "the file cannot be read"),
    ({"REGISTRY_CA_FILE": __file__}, f"registry_ca_file is '{__file__}'", "there is no certificate (PEM) in it"),
    ({"PUBLIC_URL": "foo.example"}, "public_url is 'foo.example'", "it is not of the form http://host"),
    ({"HOST": "nonsense.invalid"}, "host is 'nonsense.invalid'", "no address is known for it"),
    ({"HOST": "198.51.100.7"}, "host is '198.51.100.7'", "it is no address of this machine"),
    ({"AUTHENTICATOR": "nonsense"}, "authenticator is 'nonsense'", "There is no authenticator 'nonsense'"),
    ({"AUTHENTICATOR": "no.such.Class"}, "authenticator is 'no.such.Class'", "No module named 'no'"),
    ({"AUTHENTICATOR": "os.path.join"}, "authenticator is 'os.path.join'", "it is not an authenticator of JupyterHub"),
    ({"DATABASE_URL": "garbage"}, "database_url is 'garbage'", "it is not of the form postgresql://host/name"),
    ({"DATABASE_URL": "mysql://u:hush@h/x"}, "database_url is 'mysql://u:***@h/x'", "begins with one of postgresql"),
    (
        {"HOST": "0.0.0.0", "SHARED_PASSWORD": "jupyterhub"},  # noqa: S104  # that is the point
        "shared_password is (hidden)",
        "the service listens on 0.0.0.0, where others can try it",
    ),
]


@pytest.mark.parametrize("settings,named,reason", NOT_STARTED, ids=[next(iter(one[0])) for one in NOT_STARTED])
def test_a_wrong_setting_stops_the_start(tmp_path: Path, settings: dict[str, str], named: str, reason: str) -> None:
    """With its name, its value and the reason, in one sentence, before anything was started."""
    data = tmp_path / "data"
    done = repolaunch("up", "--no-example", "--data", str(data), "--port", str(free_port()), **settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"The setting {named}, which cannot be: "), done.stderr
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "hush" not in done.stderr
    assert not (data / "logs").exists() or not list((data / "logs").iterdir())
    assert not (data / "run" / "children.json").exists()


def test_a_port_that_is_taken(service: Service, tmp_path: Path) -> None:
    done = repolaunch("up", "--no-example", "--data", str(tmp_path / "data"), "--port", str(service.port))
    assert done.returncode == 1
    assert done.stderr == (
        f"The service cannot listen on 127.0.0.1 port {service.port}: Address already in use. "
        "Choose another one with --port.\n"
    )


def test_a_part_that_cannot_start_is_one_sentence_without_a_traceback(where: Service, tmp_path: Path) -> None:
    (tmp_path / "hub.py").write_text("c.Authenticator.admin_users = undefined_name\n")
    done = repolaunch(
        "up", "--no-example", "--data", str(where.data), "--port", str(where.port), HUB_CONFIG=str(tmp_path / "hub.py")
    )
    assert done.returncode == 1
    assert done.stderr == (
        "hub ended while it started. It said: NameError: name 'undefined_name' is not defined\n"
        f"The rest is in {where.data}/logs/hub.log.\n"
    )


@pytest.mark.long
def test_a_restored_copy_starts_when_the_original_was_stopped(own_service: Service, tmp_path: Path) -> None:
    """It has the same identity in the container engine; while both ran they would fight over all of it."""
    own_service.start()
    helper = own_service.engine().containers.get(f"repolaunch-{own_service.id}-volumes")
    copy = Service(tmp_path / "copy", free_port(), own_service.env)
    copy.data.mkdir(mode=0o700)
    shutil.copytree(own_service.data / "secrets", copy.data / "secrets")
    sentence = (
        f"Another copy of this installation runs on the data folder {own_service.data}. A restored copy has the same "
        "identity: stop the other one first, or try the copy on another machine."
    )
    settings = {name.removeprefix("REPOLAUNCH_"): value for name, value in own_service.env.items()}
    try:
        for command in (("up", "--no-example", "--port", str(copy.port)), ("run", "ground")):
            refused = repolaunch(*command, "--data", str(copy.data), **settings)
            assert refused.returncode == 1
            assert refused.stderr.strip().endswith(sentence), refused.stderr
        helper.reload()
        assert helper.status == "running"
        own_service.kill()  # its parts end; what it left in the engine is taken over
        for name in PARTS & {known.name for known in read(own_service.data / "run" / "children.json")}:
            with contextlib.suppress(LookupError, psutil.NoSuchProcess):
                own_service.child(name).kill()
        copy.start()
        copy.stop()
    finally:
        copy.stop()
