"""The data folder: what is kept, who may read it, what is said when it cannot be."""

from __future__ import annotations

import stat
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from launcher.operate.installation import InstallationError, open_installation, write_private
from launcher.operate.passwords import announcement, shared_password
from launcher.settings import SettingWrong, load

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_the_same_when_opened_again(tmp_path: Path) -> None:
    first, second = open_installation(tmp_path / "data"), open_installation(tmp_path / "data")
    assert first == second
    assert first.secret("operator-token") == second.secret("operator-token")
    assert first.secret("operator-token") != first.secret("proxy-token")
    assert len(set(asdict(first.ports).values())) == 5


def test_parts_that_start_at_the_same_time_make_one_installation(tmp_path: Path) -> None:
    """The ports, the identity and each secret are those of whoever came first, in every process."""
    look = (
        "import sys, pathlib; from launcher.operate.installation import open_installation;"
        "one = open_installation(pathlib.Path(sys.argv[1])); sys.stdin.read();"
        "print(one, [one.secret(f's{n}') for n in range(20)])"
    )
    argv = [sys.executable, "-c", look, str(tmp_path / "data")]
    many = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for one in many:
        assert one.stdin is not None
        one.stdin.close()
        one.stdin = None
    said = {one.communicate(timeout=60)[0] for one in many}
    assert len(said) == 1
    assert not [path for path in (tmp_path / "data").rglob("*") if path.suffix in {".new", ".made"}]


def test_secrets_are_the_owners_alone(tmp_path: Path) -> None:
    one = open_installation(tmp_path / "data")
    one.secret("operator-token")
    assert stat.S_IMODE((tmp_path / "data" / "secrets").stat().st_mode) == 0o700
    for path in (tmp_path / "data" / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_two_installations_share_nothing(tmp_path: Path) -> None:
    one, other = open_installation(tmp_path / "a"), open_installation(tmp_path / "b")
    assert one.id != other.id
    assert one.secret("cookie-secret") != other.secret("cookie-secret")


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InstallationError) as caught:
        open_installation(tmp_path / "file" / "data")
    assert str(caught.value).endswith("Not a directory. Choose another one with --data.")


def test_a_damaged_file_of_ports_is_a_sentence(tmp_path: Path) -> None:
    open_installation(tmp_path)
    (tmp_path / "ports.json").write_text("{")
    with pytest.raises(InstallationError, match=r"ports\.json is damaged"):
        open_installation(tmp_path)


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    write_private(tmp_path / "note", "one")
    write_private(tmp_path / "note", "two")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["two"]


def test_the_random_password_is_announced_once(tmp_path: Path) -> None:
    one, settings = open_installation(tmp_path), load(None, {})
    told = announcement(one, settings)
    assert told == shared_password(one, settings)
    assert len(told) >= 16
    assert announcement(one, settings) == ""


def test_a_guessable_password_is_refused_beyond_loopback(tmp_path: Path) -> None:
    one = open_installation(tmp_path)
    weak = {"REPOLAUNCH_SHARED_PASSWORD": "jupyterhub123"}
    assert shared_password(one, load(None, weak)) == "jupyterhub123"
    with pytest.raises(SettingWrong) as caught:
        shared_password(one, load(None, {**weak, "REPOLAUNCH_HOST": "0.0.0.0"}))  # noqa: S104  # that is the point
    assert "jupyterhub123" not in str(caught.value)
    assert "where others can try it" in str(caught.value)
