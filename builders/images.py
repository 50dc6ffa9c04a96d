"""What the sessions' engine has, asked over its socket without the Docker SDK (which costs 10 MiB and blocks)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from builders.errors import EngineDown

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOCKET = "unix:///var/run/docker.sock"
_MISSING, _CONFLICT = 404, 409
_MOST = 64 * 1024 * 1024
ENGINE_ID = re.compile(r"sha256:[0-9a-f]{64}")


class EngineImages:
    """A client of one engine. Understands DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as Docker does."""

    def __init__(self, environ: Mapping[str, str], *, timeout_s: float = 10) -> None:
        """Of the engine that `environ` names."""
        self._address = urlsplit(environ.get("DOCKER_HOST") or _SOCKET)
        self._timeout_s = timeout_s
        self._ssl: ssl.SSLContext | None = None
        if environ.get("DOCKER_TLS_VERIFY"):
            folder = Path(environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
            self._ssl = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            self._ssl.load_cert_chain(str(folder / "cert.pem"), str(folder / "key.pem"))

    async def image(self, engine_id: str) -> dict[str, Any] | None:
        """What the engine says of the image with this id; None: it has none. Raises EngineDown."""
        if not ENGINE_ID.fullmatch(engine_id):
            return None
        status, body = await self._ask("GET", f"/images/{engine_id}/json")
        found: dict[str, Any] | None = None if status == _MISSING else _json(body)
        return found

    async def containers(self, *labels: str) -> list[dict[str, Any]]:
        """Every container, stopped ones too, that has all these labels (`name=value`). Raises EngineDown."""
        filters = quote(json.dumps({"label": labels} if labels else {}))
        _, body = await self._ask("GET", f"/containers/json?all=1&filters={filters}")
        found: list[dict[str, Any]] = _json(body)
        return found

    async def container(self, identity: str) -> dict[str, Any] | None:
        """What the engine says of one container; None: it has none. Raises EngineDown."""
        status, body = await self._ask("GET", f"/containers/{identity}/json")
        found: dict[str, Any] | None = None if status == _MISSING else _json(body)
        return found

    async def remove_container(self, identity: str, *, force: bool = True) -> None:
        """Remove a container, no error if it is gone. Raises EngineDown.

        With `force` though it runs, and with its anonymous volumes; else one that runs stays, and so do its volumes.
        """
        await self._ask("DELETE", f"/containers/{identity}" + ("?force=1&v=1" if force else ""))

    async def images(self) -> list[dict[str, Any]]:
        """Every image, in short. Raises EngineDown."""
        _, body = await self._ask("GET", "/images/json")
        found: list[dict[str, Any]] = _json(body)
        return found

    async def remove_image(self, name: str) -> None:
        """Take this name from its image, which goes with its last; not where a container uses it. Raises EngineDown."""
        await self._ask("DELETE", f"/images/{quote(name, safe=':@/')}")

    async def tag(self, engine_id: str, repository: str, tag: str) -> None:
        """Give an image one more name; no error if it is gone. Raises EngineDown."""
        await self._ask("POST", f"/images/{engine_id}/tag?repo={quote(repository, safe='')}&tag={quote(tag, safe='')}")

    async def root(self) -> Path:
        """The folder where the engine keeps its images, on the engine's machine. Raises EngineDown."""
        _, body = await self._ask("GET", "/info")
        return Path(_json(body)["DockerRootDir"])

    async def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        """Status and body, of an answer that is none of the engine's own faults. Raises EngineDown."""
        try:
            async with asyncio.timeout(self._timeout_s):
                status, body = await self._exchange(f"{method} {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        except TimeoutError:
            raise EngineDown(f"it did not answer in {self._timeout_s:g} seconds") from None
        except FileNotFoundError as error:
            raise EngineDown("its socket is not there") from error
        except ConnectionRefusedError as error:
            raise EngineDown("nothing listens at its address") from error
        except OSError as error:
            raise EngineDown(error.strerror or str(error)) from error
        except (IndexError, ValueError, EOFError) as error:
            raise EngineDown("it does not answer with HTTP") from error
        if status >= 400 and status not in {_MISSING, _CONFLICT}:  # noqa: PLR2004  # HTTP's own border
            raise EngineDown(f"it answers {status}")
        return status, body

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        reader, writer = await self._connect()
        with contextlib.closing(writer):
            writer.write(request)
            status = int((await reader.readline()).split()[1])
            while (await reader.readline()).strip():
                pass
            body = bytearray()
            while len(body) < _MOST and (part := await reader.read(2**16)):
                body += part
            return status, bytes(body)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        match self._address.scheme:
            case "unix":
                return await asyncio.open_unix_connection(self._address.path)
            case "tcp" | "http" | "https":
                port = self._address.port or (2376 if self._ssl else 2375)
                return await asyncio.open_connection(self._address.hostname, port, ssl=self._ssl)
            case scheme:
                raise EngineDown(f"DOCKER_HOST begins with {scheme}://, which is not understood: use unix:// or tcp://")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise EngineDown("it does not answer with JSON") from None
