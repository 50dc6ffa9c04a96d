"""What `repolaunch provenance` and `repolaunch verify` do: builder processes of the operator's own, and the registry.

They need neither the launcher nor the repository's host: what an image was built from is archived beside it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from builders import lines, variables
from builders.process import Command, running
from launcher.builds.worker import translated
from launcher.errors import LauncherError
from launcher.explain import explain
from launcher.operate import build_engine, registry, worker
from launcher.operate.installation import ROOT, InstallationError
from launcher.repos.provider import sites_of
from launcher.repos.providers import parse_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.operate.installation import Installation
    from launcher.settings import Settings

STATEMENT = "application/vnd.in-toto+json"
COMPONENTS = "application/vnd.cyclonedx+json"
PAPERS_BYTES = 256 * 2**20
"""Of all that is kept about one image: a closure of 100,000 store paths has some tens of millions."""
_Line = TypeVar("_Line", bound=lines.Line)
_DIGEST = 64


@dataclass(frozen=True, slots=True)
class Papers:
    """Of one installation."""

    installation: Installation
    settings: Settings

    async def image_of(self, what: str, ref: str) -> str:
        """`host/repository@digest` of an image by its name or digest, or of what a link led to last.

        Raises InstallationError.
        """
        if "@sha256:" in what:
            return what
        if what.startswith("sha256:"):
            return f"{self._name}@{what}"
        key = what if _is_key(what) else await self.key_of(what, ref)
        digest = (await self._ask(lines.Known, "digest", "--", f"{self._name}:{key}")).digest
        if not digest:
            raise InstallationError(f"The registry has no image of {what}. Launch it first.")
        return f"{self._name}@{digest}"

    async def papers(self, image: str) -> Mapping[str, Any]:
        """The documents that are kept about an image. Raises InstallationError."""
        found = (await self._ask(lines.Papers, "papers", "--", image, at=_host(image))).documents
        if not found:
            raise InstallationError(f"The registry has nothing that says where {image} came from.")
        return found

    async def verify(self, image: str) -> lines.Verified:
        """Build an image's commit again in an empty store, and compare. Raises InstallationError."""
        statement = (await self.papers(image)).get(STATEMENT) or {}
        source, commit, _ = _origin(statement)
        with tempfile.TemporaryDirectory(prefix="verify-", dir=self.installation.path("tmp")) as folder:
            checkout = Path(folder, "checkout")
            await self._restored(source, commit, checkout)
            limits = (f"--{name}={getattr(self.settings, f'build_{name}')}" for name in worker.LIMITS)
            mark = f"--mark={self.installation.label}"
            return await self._ask(lines.Verified, "verify", mark, *limits, "--", str(checkout), image, at=_host(image))

    # ------------------------------------------------------------------ parts
    @property
    def _name(self) -> str:
        """What stands before the key of an image."""
        return f"{self._where}/env"

    @property
    def _sources(self) -> str:
        """Where commits' files are archived."""
        return f"{self._where}/source"

    @property
    def _where(self) -> str:
        return f"{self._host}/{self.settings.registry_prefix}".rstrip("/")

    @property
    def _host(self) -> str:
        return registry.address(self.installation, self.settings)

    async def key_of(self, link: str, ref: str) -> str:
        """The environment key of what a link led to last."""
        try:
            wanted = parse_url(link, ref, sites_of(self.settings))
        except LauncherError as error:
            raise _said(error) from None
        asked = (f"--source={wanted.url}", f"--ref={wanted.ref}", "--", self._sources)
        found = await self._ask(lines.Archived, "archived", *asked)
        if not found.commit:
            raise InstallationError(
                f"Nothing of {link} at {wanted.ref} is archived here. Launch it first, or say by --ref as what it was "
                "launched: its branch, tag or commit."
            )
        with tempfile.TemporaryDirectory(prefix="verify-", dir=self.installation.path("tmp")) as folder:
            checkout = Path(folder, "checkout")
            await self._restored(wanted.url, found.commit, checkout)
            return (
                await self._ask(lines.Found, "detect", f"--mark={self.installation.label}", "--", str(checkout))
            ).key

    async def _restored(self, source: str, commit: str, checkout: Path) -> None:
        asked = (f"--source={source}", f"--commit={commit}", "--", self._sources, str(checkout))
        if not (await self._ask(lines.Archived, "restore", *asked)).commit:
            raise InstallationError(
                f"The files of {source} at {commit[:10]} are not archived, so nothing can be built."
            )

    async def _ask(self, kind: type[_Line], verb: str, *arguments: str, at: str = "") -> _Line:
        """Run a builder process; its steps are told on standard error. Raises InstallationError."""
        final: lines.Line = lines.Log("")
        argv = (sys.executable, "-m", "builders", verb, "--json", *arguments)
        environment = self._environment(at or self._host)
        command = Command(argv, environment, cwd=ROOT, leash=True, max_line=PAPERS_BYTES)
        async with running(command) as child:
            async for raw in child.lines():
                final = lines.parse_line(raw)
                if isinstance(final, (lines.Step, lines.Progress)):
                    click.echo(final.text, err=True)
            await child.wait()
        if isinstance(final, kind):
            return final
        if isinstance(final, lines.Error):
            raise _said(translated(final))
        raise InstallationError(f"The builder gave no answer to {verb}.")

    def _environment(self, host: str) -> dict[str, str]:
        """For a builder that speaks to this registry. Ours alone is told our password."""
        env = {name: os.environ[name] for name in variables.ENVIRONMENT if name in os.environ}
        env |= build_engine.told(build_engine.place(self.installation, self.settings), self.installation)
        env |= worker.told(self.installation, self.settings) | {"LANG": "C.UTF-8"}
        if host != self._host:
            return env
        username, password = registry.login(self.installation, self.settings)
        spoken = {
            variables.USERNAME: username,
            variables.PASSWORD: password,
            variables.TLS: "1" if self.settings.registry and self.settings.registry_tls else "0",
            variables.CA_FILE: self.settings.registry_ca_file,
            "PATH": os.environ.get("PATH", os.defpath),
        }
        return env | {name: text for name, text in spoken.items() if text}


def _said(error: LauncherError) -> InstallationError:
    told = explain(error)
    return InstallationError(f"{told.title}. {told.seen} {told.todo}")


def _host(image: str) -> str:
    return image.partition("/")[0]


def told(documents: Mapping[str, Any]) -> list[str]:
    """The papers, for people."""
    statement = documents.get(STATEMENT) or {}
    definition = statement.get("predicate", {}).get("buildDefinition", {})
    about = definition.get("internalParameters", {})
    external = definition.get("externalParameters", {})
    held = (documents.get(COMPONENTS) or {}).get("components", [])
    source, commit, version = _origin(statement)
    rows = {
        "built from": f"{version}: {source}" if version else f"{source}@{commit}",
        "files": "" if not version else _files(definition),
        "declared by": ", ".join(external.get("evidence", ())),
        "platform": external.get("platform", ""),
        "pinning": about.get("pinning", ""),
        "inputs": about.get("inputs", ""),
        "key": about.get("key", ""),
        "holds": f"{len(held)} store paths" if held else "",
    }
    found = [f"{name:<12} {text}" for name, text in rows.items() if text]
    return [*found, *(f"{'not pinned':<12} {line}" for line in about.get("loose", ()))]


def _files(definition: Mapping[str, Any]) -> str:
    """Of a record: how many, and the first with what it has to be."""
    found = [one for one in definition["resolvedDependencies"][1:] if "name" in one]
    one: Mapping[str, Any] = found[0] if found else {"name": "", "digest": {}}
    digests = " ".join(f"{kind}:{text}" for kind, text in sorted(one["digest"].items()))
    return f"{len(found)}: {one['name']} {digests}" + (", …" if len(found) > 1 else "")


def _origin(statement: Mapping[str, Any]) -> tuple[str, str, str]:
    """Address, commit, and the version of a record, `""` for a repository's commit."""
    try:
        one = statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]
        commit = str(one["digest"]["gitCommit"])
        return str(one["uri"]).removeprefix("git+").removesuffix(f"@{commit}"), commit, str(one.get("name", ""))
    except (KeyError, IndexError, TypeError):
        raise InstallationError("What the registry says of the image cannot be read.") from None


def _is_key(text: str) -> bool:
    return len(text) == _DIGEST and set(text) <= set("0123456789abcdef")
