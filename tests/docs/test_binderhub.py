"""Moving over from BinderHub: what the page names is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from launcher.gate.policy import Pages, Policy
from launcher.settings import Settings, load
from launcher.web.app import ROUTES

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "binderhub.md").read_text()
OF_POLICY = {"policy.toml", "allowed", "banned", "high_quota", *(f"[{name}]" for name in Policy.model_fields)}
OF_POLICY |= {"[providers.<provider>]", *Pages.model_fields}
IN_PAGES = {"window.pageConfig"}


def rows() -> list[tuple[str, str]]:
    """A trait's row, and each name of ours in it."""
    table = PAGE.partition("| BinderHub's trait | here |")[2].strip()
    cells = [line.split("|")[1:3] for line in table.splitlines()[1:]]
    return [(trait.strip(), name) for trait, here in cells for name in re.findall("`([^`]+)`", here)]


@pytest.mark.parametrize("trait,name", rows())
def test_what_a_trait_has_become_is_there(trait: str, name: str) -> None:
    assert name in Settings.model_fields or name in OF_POLICY | IN_PAGES, trait


def test_every_example_is_one_of_settings() -> None:
    examples = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for text in examples:
        given = tomllib.loads(text).items()
        told = {name.upper(): ",".join(value) if isinstance(value, list) else value for name, value in given}
        load(None, {f"REPOLAUNCH_{name}": value for name, value in told.items()})


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(/[a-z][^`…]*)[`…]", PAGE))))
def test_every_address_is_a_route(path: str) -> None:
    asked = re.sub(r"<[a-z]+>", "x", path)
    if path.startswith("/services/binder/"):
        return
    assert any(re.fullmatch(route.pattern, asked + more) for route in ROUTES for more in ("", "x/x", "/x/x")), path
