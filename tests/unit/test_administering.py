"""`repolaunch admin` on the policy file: comments stay, nothing wrong is written."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from launcher.__main__ import main
from launcher.gate.reading import parse
from launcher.operate import installation
from launcher.repos.providers import PROVIDERS

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.gate.policy import Policy

KEY = "5" * 64


@dataclass
class Site:
    """An installation that does not run."""

    data: Path

    @property
    def path(self) -> Path:
        return self.data / "policy.toml"

    @property
    def policy(self) -> Policy:
        return parse(self.path.read_text(), tuple(PROVIDERS))

    def admin(self, *words: str, code: int = 0) -> str:
        """What the command prints; its exit code is checked."""
        done = CliRunner().invoke(main, ["admin", *words, "--data", str(self.data)])
        assert done.exit_code == code, (done.output, done.exception)
        return done.output


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.delenv("REPOLAUNCH_SETTINGS", raising=False)
    installation.open_installation(tmp_path / "data")
    return Site(tmp_path / "data")


def test_bans_and_their_lifting(site: Site) -> None:
    assert site.admin("ban", "person", "mallory", "--reason", "mining") == (
        "The person mallory is banned. It is in force within three seconds.\n"
    )
    site.admin("ban", "network", "203.0.113.0/24", "--reason", "a crawler")
    assert "gh: ^ada/nice/ is banned." in site.admin("ban", "repository", "https://github.com/ada/nice")
    site.admin("ban", "repository", "10.5281/zenodo.3242074")
    site.admin("ban", "spec", "gl", "^mallory%2F")
    policy = site.policy
    assert policy.banned_people == {"mallory": "mining"}
    assert policy.banned_networks == {"203.0.113.0/24": "a crawler"}
    assert [pattern.text for pattern in policy.provider("gh").banned] == ["^ada/nice/"]
    assert policy.provider("gl").banned[0].matches("mallory%2Fx/main")
    assert stat.S_IMODE(site.path.stat().st_mode) == 0o644, "the launcher's own user reads it"
    site.admin("unban", "person", "mallory")
    site.admin("unban", "network", "203.0.113.0/24")
    site.admin("unban", "repository", "github.com/ada/nice")
    assert (site.policy.banned_people, site.policy.banned_networks, site.policy.provider("gh").banned) == ({}, {}, ())
    assert site.admin("unban", "person", "mallory", code=1) == (
        "The person mallory is not banned by itself; look at the policy file.\n"
    )
    assert "is not banned by itself" in site.admin("unban", "spec", "gh", "^x", code=1)


def test_a_repository_with_a_dot_bans_no_other(site: Site) -> None:
    site.admin("ban", "repository", "https://git.example.org/a.b")
    (pattern,) = site.policy.provider("git").banned
    assert pattern.matches("https%3A%2F%2Fgit.example.org%2Fa.b/main")
    assert not pattern.matches("https%3A%2F%2Fgit.example.org%2Faxb/main")
    assert not pattern.matches("https%3A%2F%2Fgit.example.org%2Fa.bc/main")


def test_what_others_wrote_stays(site: Site) -> None:
    text = "# ours\n[providers.gh]\nbanned = [\n  '^old/',  # since May\n]\n\n[rates]\nper_address = 5\n"
    site.path.write_text(text)
    site.path.chmod(0o640)
    site.admin("ban", "spec", "gh", "^new/")
    site.admin("unban", "spec", "gh", "^new/")
    assert site.path.read_text().split() == text.split()
    assert stat.S_IMODE(site.path.stat().st_mode) == 0o640
    assert [one.name for one in site.data.iterdir() if "policy" in one.name] == ["policy.toml"]


@pytest.mark.parametrize(
    "words, said",
    [
        (("ban", "network", "10.0.0.1/8"), "10.0.0.1/8 has host bits set. Nothing was changed.\n"),
        (("ban", "spec", "github", "x"), "providers.github: there is no such provider; there are ckan, "),
        (("ban", "spec", "gh", "(?!x)"), "is no pattern of RE2"),
        (("ban", "repository", "ext::sh"), "The address “ext::sh” uses ext."),
        (("pin", "nonsense://x"), "nonsense"),
    ],
)
def test_nothing_wrong_is_written(site: Site, words: tuple[str, ...], said: str) -> None:
    assert said in site.admin(*words, code=1)
    assert not site.path.exists()


def test_a_file_that_is_wrong_already_is_not_touched(site: Site) -> None:
    site.path.write_text("[rates\n")
    told = site.admin("ban", "person", "mallory", code=1)
    assert told.startswith(f"{site.path}, line 1: it is not TOML")
    assert told.endswith("Mend it first; nothing was changed.\n")
    assert site.path.read_text() == "[rates\n"


def test_pins(site: Site) -> None:
    digest = f"sha256:{KEY}"
    assert site.admin("pin", KEY, "--note", "our paper") == f"{KEY} is pinned: it is never collected.\n"
    site.admin("pin", f"localhost:5000/repolaunch/env@{digest}")
    assert site.policy.pins == {KEY: "our paper", digest: f"localhost:5000/repolaunch/env@{digest}"}
    site.admin("unpin", KEY)
    site.admin("unpin", digest)
    assert site.policy.pins == {}
    assert site.admin("unpin", KEY, code=1) == f"{KEY} is not pinned.\n"


def test_wrong_use(site: Site) -> None:
    assert "Name one at a time." in site.admin("ban", "person", "a", "b", code=2)
    assert "A spec is a provider and a pattern" in site.admin("ban", "spec", "gh", code=2)
    assert "Invalid value" in site.admin("ban", "planet", "mars", code=2)
    for command in ("build", "badge", "logs", "cancel"):
        done = CliRunner().invoke(main, [command, "--help"])
        assert done.exit_code == 0
        assert "--data" in done.output


def test_without_a_service_it_is_said(site: Site) -> None:
    for words in (("limits",), ("queue",)):
        assert "does not run" in site.admin(*words, code=1) or "repolaunch up" in site.admin(*words, code=1)


@pytest.mark.parametrize("name", ["", "  ", "ada\nlove"])
def test_nobody_is_not_banned(site: Site, name: str) -> None:
    assert "is nobody's name" in site.admin("ban", "person", name, code=1)
    assert not site.path.exists()


def test_a_second_pin_keeps_the_note_of_the_first(site: Site) -> None:
    site.admin("pin", KEY, "--note", "the paper's")
    site.admin("pin", KEY)
    assert site.policy.pins == {KEY: "the paper's"}
    site.admin("pin", KEY, "--note", "the book's")
    assert site.policy.pins == {KEY: "the book's"}
