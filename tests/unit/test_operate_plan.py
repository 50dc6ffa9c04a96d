"""The parts of one installation, each described by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from launcher.operate import plan, proxy
from launcher.operate.installation import InstallationError, open_installation
from launcher.operate.part import GROUND, PARTS
from launcher.settings import Settings, SettingWrong, load

if TYPE_CHECKING:
    from pathlib import Path


def test_a_part_needs_nothing_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of one part alone, say, has no proxy in it."""
    monkeypatch.setattr(proxy, "PROXY", tmp_path / "none")
    plans = plan.Plan(open_installation(tmp_path / "data"), Settings(), "10.0.0.1")
    for name in PARTS:
        if name not in {GROUND, "proxy"}:
            assert plans.part(name).name == name
    with pytest.raises(InstallationError, match="The proxy is not installed"):
        plans.part("proxy")


def test_a_part_that_the_settings_name_elsewhere(tmp_path: Path) -> None:
    settings = Settings(registry="registry.example.org")
    plans = plan.Plan(open_installation(tmp_path / "data"), settings, "10.0.0.1")
    with pytest.raises(InstallationError, match="There is no registry to run: the settings name one elsewhere"):
        plans.part("registry")
    assert [one.name for one in plans.children(with_example=False)] == ["proxy", "hub", "worker", "launcher"]


@pytest.mark.parametrize("elsewhere", ["", "big disk"])
def test_the_build_worker_is_told_where_the_stores_are(tmp_path: Path, elsewhere: str) -> None:
    settings = Settings(stores=str(tmp_path / elsewhere) if elsewhere else "")
    plans = plan.Plan(open_installation(tmp_path / "data"), settings, "10.0.0.1")
    wanted = tmp_path / (elsewhere or "data/stores")
    assert plans.part("worker").env["REPOLAUNCH_STORES"] == str(wanted)
    assert wanted.is_dir()


def test_the_build_worker_is_told_what_the_site_has_chosen(tmp_path: Path) -> None:
    channels = tmp_path / "channels.scm"
    channels.write_text("(list)")
    chosen = {"rev": "a" * 40, "date": "2026-11-01", "url": "https://x.example/nixpkgs.tar.gz", "sha256": "sha256-x"}
    installation = open_installation(tmp_path / "data")
    caches = json.dumps([{"url": "https://cache.example", "key": "a:b"}])
    variables = {
        "REPOLAUNCH_NIXPKGS": json.dumps(chosen),
        "REPOLAUNCH_GUIX_CHANNELS": str(channels),
        "REPOLAUNCH_NIX_CACHES": caches,
        "REPOLAUNCH_STORE_CACHE": "own",
    }
    env = plan.Plan(installation, load(environ=variables), "10.0.0.1").part("worker").env
    assert json.loads(env["REPOLAUNCH_NIXPKGS"]) == chosen
    assert env["REPOLAUNCH_NIX_CACHES"] == caches
    assert env["REPOLAUNCH_STORE_CACHE"] == "own"
    kept = tmp_path / "data/stores/site/channels.scm"
    assert kept.read_text() == "(list)"
    env = plan.Plan(installation, Settings(), "10.0.0.1").part("worker").env
    assert "REPOLAUNCH_NIXPKGS" not in env
    assert not kept.exists()


@pytest.mark.parametrize("wrong", ["nixos-25.05", '{"rev": "main"}', "[1]"])
def test_a_nixpkgs_that_is_not_pinned_is_refused(wrong: str) -> None:
    with pytest.raises(SettingWrong, match="nixpkgs"):
        load(environ={"REPOLAUNCH_NIXPKGS": wrong})


def test_channels_that_are_not_there(tmp_path: Path) -> None:
    plans = plan.Plan(open_installation(tmp_path), Settings(guix_channels=str(tmp_path / "none")), "10.0.0.1")
    with pytest.raises(SettingWrong, match=r"guix_channels is .* which cannot be: No such file"):
        plans.part("worker")


@pytest.mark.parametrize("views", [True, False])
def test_hub_and_worker_are_told_whether_sessions_see_the_stores(tmp_path: Path, views: bool) -> None:
    plans = plan.Plan(open_installation(tmp_path / "data"), Settings(), "10.0.0.1", views=views)
    assert plans.part("worker").env.get("REPOLAUNCH_VIEWS") == ("1" if views else None)
    assert plans.part("hub").env["REPOLAUNCH_HUB_POLICY"] == str(tmp_path / "data/policy.toml")
    assert plans.part("hub").env.get("REPOLAUNCH_HUB_STORES") == (str(tmp_path / "data/stores") if views else None)
