"""What doctor says of the machine it runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.operate import build_engine, doctor, installation, plan
from launcher.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_a_proxy_with_a_password_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable's name: never the password."""
    for name in build_engine.PROXIES:
        monkeypatch.delenv(name, raising=False)
    site = installation.open_installation(tmp_path)
    assert "builds' proxy" not in [one.name for one in await doctor.examine(site, Settings())]
    monkeypatch.setenv("https_proxy", "http://me:hush@proxy.example.org:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.example.org:3128")
    (found,) = [one for one in await doctor.examine(site, Settings()) if one.name == "builds' proxy"]
    assert (found.ok, found.seen) == (False, "https_proxy has a password in it, which every build is told")


async def test_whose_credentials_are_is_told(tmp_path: Path) -> None:
    site = installation.open_installation(tmp_path)

    async def told(**chosen: Any) -> str:
        (found,) = [one for one in await doctor.examine(site, Settings(**chosen)) if one.name == "credentials"]
        return found.seen

    freely = 'with authenticator = "shared-password" whoever may sign in takes any name'
    assert await told() == f"none are kept: {freely}"
    assert await told(credentials_of_any_name=True) == f"{freely}, and uses what it keeps (credentials_of_any_name)"
    assert await told(authenticator="pam") == "people keep their own, if `authenticator` proves who they are"


async def test_whether_sessions_see_the_stores_is_told(tmp_path: Path) -> None:
    site = installation.open_installation(tmp_path)

    async def told(**chosen: bool) -> tuple[bool, str]:
        (found,) = [one for one in await doctor.examine(site, Settings(**chosen)) if one.name == "stores"]
        return found.ok, found.seen

    assert await told() == (True, "looked at when the service starts")
    assert await told(mount_stores=False) == (True, "sessions get whole images, as the setting says")
    for views, wanted in ((True, "sessions see them"), (False, "the container engine does not see their folder")):
        plan.Plan(site, Settings(), "127.0.0.1", views=views).note()
        assert await told() == (views, wanted)
