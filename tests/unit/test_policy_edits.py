"""Changes of the policy file: two operators at one moment, a kill in the midst, and what others wrote there."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.operate import installation, policy
from launcher.operate.installation import Installation, InstallationError
from launcher.operate.policy_text import PolicyText
from launcher.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
OURS = '# ours\n[banned_people]\n"of old" = "" # since May\n\n# how often\n[rates]\nper_address = 5 # each\n'
OPERATOR = """
import sys
from pathlib import Path
from launcher.operate.installation import open_installation
from launcher.operate.policy import change
from launcher.settings import Settings

folder, name = sys.argv[1:]
site = open_installation(Path(folder))
for number in range(20):
    change(site, Settings(), lambda text: text.name("banned_people", f"{name}-{number}", ""))
"""
"""Bans one after the other."""
KILLED = """
import os, signal, sys
from pathlib import Path
from launcher.operate import policy
from launcher.operate.installation import open_installation
from launcher.settings import Settings

site, old = open_installation(Path(sys.argv[1])), sys.stdin.read()
path = site.folder / "policy.toml"

def killed_at(line):
    left = [line]
    def trace(frame, event, _):
        if event == "line":
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    def begin(frame, *_):
        return trace if Path(frame.f_code.co_filename).name in {"policy.py", "pathlib.py", "_local.py"} else None
    writes = policy._written
    def written(*given):
        sys.settrace(begin)
        return writes(*given)
    policy._written = written
    policy.change(site, Settings(), lambda text: text.name("banned_people", "mallory", ""))
    os._exit(0)

policy.change(site, Settings(), lambda text: text.name("banned_people", "mallory", ""))
new, found = path.read_text(), []
for line in range(1, 1000):
    path.write_text(old)
    child = os.fork() or killed_at(line)
    if not os.waitpid(child, 0)[1]:
        break
    found.append(path.read_text())
assert set(found) <= {old, new}, found
print(len(found), found.count(new))
"""
"""The same change in processes that kill themselves, each at the next line of the program that it comes to."""


@pytest.fixture
def site(tmp_path: Path) -> Installation:
    """An installation with a policy file."""
    found = installation.open_installation(tmp_path / "data")
    (found.folder / "policy.toml").write_text(OURS)
    return found


def operator(site: Installation, name: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", OPERATOR, str(site.folder), name]
    return subprocess.Popen(argv, cwd=ROOT)


def banned(site: Installation) -> list[str]:
    return list(tomllib.loads((site.folder / "policy.toml").read_text())["banned_people"])


def test_operators_at_one_moment_lose_nothing_of_one_another(site: Installation) -> None:
    names = ("ada", "bob", "eve")
    all_of_them = [operator(site, name) for name in names]
    assert [one.wait(60) for one in all_of_them] == [0, 0, 0]
    found = banned(site)
    assert sorted(found) == sorted(["of old", *(f"{name}-{n}" for name in names for n in range(20))])
    assert [[one for one in found if one.startswith(name)] for name in names] == [
        [f"{name}-{n}" for n in range(20)] for name in names
    ]
    text = (site.folder / "policy.toml").read_text()
    assert text.startswith(OURS.partition("\n\n")[0])
    assert text.endswith(OURS.partition("\n\n")[2])


def test_a_killed_operator_leaves_the_old_file_or_the_new_one(site: Installation) -> None:
    argv = [sys.executable, "-c", KILLED, str(site.folder)]
    done = subprocess.run(argv, cwd=ROOT, input=OURS, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    killed, new = map(int, done.stdout.split())
    assert killed > 40
    assert 0 < new < killed, "some were killed before the new file was there, and some afterwards"
    policy.change(site, Settings(), lambda text: text.name("banned_people", "mallory", ""))
    assert "mallory" in banned(site), "nobody is kept waiting by it"
    assert [one.name for one in site.folder.iterdir() if one.name.startswith("policy")] == ["policy.toml"]


def test_what_somebody_saves_by_hand_meanwhile_is_not_lost(site: Installation) -> None:
    path = site.folder / "policy.toml"
    seen: list[str] = []

    def edit(text: PolicyText) -> None:
        seen.append(str(text))
        if len(seen) == 1:
            path.write_text(OURS + "per_person = 7\n")
        text.name("banned_people", "mallory", "")

    policy.change(site, Settings(), edit)
    assert seen == [OURS, OURS + "per_person = 7\n"]
    assert tomllib.loads(path.read_text())["rates"] == {"per_address": 5, "per_person": 7}
    assert banned(site) == ["of old", "mallory"]


def test_whoever_is_in_the_midst_of_it_is_waited_for_and_not_for_ever(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "PATIENCE_S", 0.1)
    with (site.path("run") / "policy.toml.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InstallationError, match=r"Somebody else has been changing the policy file .* try again"):
            policy.change(site, Settings(), lambda text: text.name("pins", "5" * 64, ""))
    assert (site.folder / "policy.toml").read_text() == OURS


WRITTEN = {
    "nothing": "",
    "a comment": "# only that\n",
    "a table of nobody": "[banned_people]\n# nobody yet\n\n# how often\n[rates]\n",
    "a comment above the next table": '[providers.gh]\nallowed = ["a"]\n\n# often\n[rates]\nper_address = 1\n',
    "tables in no order": '[providers.gh]\nbanned = ["a"]\n# often\n[rates]\n#\n[providers.gl]\nallowed = []\n# end\n',
    "dotted keys": 'banned_people.x = "y"\nproviders.gh.banned = ["a"]\n# how often\n[rates]\nper_address = 1\n',
    "dotted keys in a table": '[providers]\ngh.allowed = ["a"] # ours\n\n# how often\n[rates]\nper_address = 1\n',
    "tables on one line": 'banned_people = {x = "y"} # these\nproviders = {gh = {banned = ["a"]}} # ours\n',
    "a list over lines": '[providers.gh]\nbanned = [\n  "a", # first\n  # "c",\n  "b" # second\n]\n',
    "indented": '   [banned_people]\n   x = "y"\n\n\n   # how often\n   [rates]\n   per_address = 2\n',
    "lines of Windows": '[banned_people]\r\nx = "y"\r\n\r\n# how often\r\n[rates]\r\nper_address = 1\r\n',
    "no end of line": '["banned_people"]\n"a b" = "c"\n# last',
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_however_it_is_written_it_is_changed_and_comments_stay_where_they_are(written: str) -> None:
    text, expected = PolicyText(written), tomllib.loads(written)
    for name, note in (("mallory", "mining"), ('o"dd]\n[x', "'\"\n")):
        text.name("banned_people", name, note)
        expected.setdefault("banned_people", {})[name] = note
    for provider in ("gh", "ckan"):
        for pattern in ("^m", r"^it's\.", "\n]"):
            text.ban(provider, pattern)
            text.ban(provider, pattern)
            expected.setdefault("providers", {}).setdefault(provider, {}).setdefault("banned", []).append(pattern)
    assert tomllib.loads(str(text)) == expected
    assert list(headings(str(text), written)) == list(headings(written, written))
    for provider in ("gh", "ckan"):
        assert [text.unban(provider, pattern) for pattern in ("^m", "^m", r"^it's\.", "\n]")] == [1, 0, 1, 1]
    assert [text.unname("banned_people", name) for name in ("mallory", 'o"dd]\n[x', "x y")] == [1, 1, 0]
    assert _full(tomllib.loads(str(text))) == _full(tomllib.loads(written))
    assert list(headings(str(text), written)) == list(headings(written, written))


def headings(text: str, of: str) -> Iterator[tuple[str, str]]:
    """Comments, each with the table that it stands above; of the tables there were."""
    lines = text.splitlines()
    known = set(of.splitlines())
    for one, after in zip(lines, [*lines[1:], ""], strict=False):
        if one.strip().startswith("#"):
            yield one, after if after.strip().startswith("[") and after in known else ""


def _full(value: Any) -> Any:
    """Without what is empty."""
    if not isinstance(value, dict):
        return value
    found = {key: _full(one) for key, one in value.items()}
    return {key: one for key, one in found.items() if one not in ({}, [])}
