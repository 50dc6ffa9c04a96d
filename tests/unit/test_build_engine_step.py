"""What is done to each step of a build before it begins (deploy/images/build-engine/step.py)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builders.repo2docker.locked.steps import install
from launcher.sessions.resolve import CERTIFICATE_VARIABLES

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """It, on a machine that has no authorities of its own."""
    place = Path(__file__).parents[2] / "deploy" / "images" / "build-engine" / "step.py"
    spec = importlib.util.spec_from_file_location("build_engine_step", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "OWN", tmp_path)
    return module


def config() -> dict[str, Any]:
    return {"process": {"env": ["PATH=/bin", "SSL_CERT_FILE=/image/own.pem", "X=SSL_CERT_FILE=1"]}, "mounts": []}


def test_a_step_is_left_alone_where_the_machine_has_no_authorities_of_its_own(step: ModuleType) -> None:
    given = config()
    step.trust(given)
    assert given == config()


def test_a_step_is_told_whom_the_machine_trusts(step: ModuleType) -> None:
    (step.OWN / "machine-001.crt").write_text("x")
    given = config()
    step.trust(given)
    (mount,) = given["mounts"]
    assert (mount["source"], mount["destination"]) == ("/etc/ssl/certs/ca-certificates.crt", step.SEEN)
    assert "ro" in mount["options"]
    env = given["process"]["env"]
    assert env[:2] == ["PATH=/bin", "X=SSL_CERT_FILE=1"]
    assert env[2:] == [f"{name}={step.SEEN}" for name in CERTIFICATE_VARIABLES]


def test_steps_and_sessions_are_told_in_the_same_words(step: ModuleType) -> None:
    assert step.TRUSTING == CERTIFICATE_VARIABLES == install.CERTIFICATES
