"""The pages' own types fit what the launcher's OpenAPI document promises: checked by the TypeScript compiler."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from launcher.web.app import ROUTES
from launcher.web.openapi import document
from tests.ui.conftest import FRONTEND

if TYPE_CHECKING:
    from pathlib import Path

CHECK = """
import type { components } from "./openapi";
import type { Credential, CredentialRequest, Explanation, Launch, LaunchRequest, Link, Me } from "%s/src/api";
import type { Project, ProjectChange } from "%s/src/api";
type Promised = components["schemas"];
export const me: (answer: Promised["Me"]) => Me = (answer) => answer;
export const launch: (answer: Promised["Launch"]) => Launch = (answer) => answer;
export const project: (answer: Promised["Project"]) => Project = (answer) => answer;
export const change: (asked: ProjectChange) => Partial<Promised["ProjectChange"]> = (asked) => asked;
export const link: (answer: Promised["Link"]) => Link = (answer) => answer;
export const error: (answer: Promised["Error"]) => Explanation = (answer) => answer;
export const credential: (answer: Promised["Credential"]) => Credential = (answer) => answer;
export const kept: (asked: CredentialRequest) => Partial<Promised["CredentialRequest"]> = (asked) => asked;
export const request: (asked: LaunchRequest) => Partial<Promised["LaunchRequest"]> = (asked) => asked;
"""
OPTIONS = ("--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext")


def node_tool(name: str) -> str:
    found = shutil.which(name, path=str(FRONTEND / "node_modules/.bin"))
    if found is None:
        pytest.fail("The pages' build tools are missing: `make setup-test` installs them.")
    return found


def test_the_pages_types_fit_the_openapi_document(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(document(ROUTES)))
    (tmp_path / "check.ts").write_text(CHECK % (FRONTEND, FRONTEND))
    tools = (
        [node_tool("openapi-typescript"), "openapi.json", "-o", "openapi.d.ts"],
        [node_tool("tsc"), *OPTIONS, "--moduleResolution", "bundler", "check.ts"],
    )
    for argv in tools:
        ended = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
