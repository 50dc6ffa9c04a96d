"""What the container engine has, asked over its socket without the Docker SDK (which costs 10 MiB and blocks)."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from launcher.errors import EngineDown

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOCKET = "unix:///var/run/docker.sock"
_ID = re.compile(r"sha256:[0-9a-f]{64}")
_OK, _MISSING = 200, 404


class EngineImages:
    """An interface.Engine. Understands DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as Docker does."""

    def __init__(self, environ: Mapping[str, str], *, timeout_s: float = 10) -> None:
        """Of the engine that `environ` names."""
        self._address = urlsplit(environ.get("DOCKER_HOST") or _SOCKET)
        self._timeout_s = timeout_s
        self._ssl: ssl.SSLContext | None = None
        if environ.get("DOCKER_TLS_VERIFY"):
            folder = Path(environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
            self._ssl = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            self._ssl.load_cert_chain(str(folder / "cert.pem"), str(folder / "key.pem"))

    async def has(self, engine_id: str) -> bool:
        """As interface.Engine."""
        if not _ID.fullmatch(engine_id):
            return False
        status = await self._status(f"/images/{engine_id}/json")
        if status not in {_OK, _MISSING}:
            raise EngineDown(f"it answers {status}")
        return status == _OK

    async def _status(self, path: str) -> int:
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await self._connect()
                with contextlib.closing(writer):
                    writer.write(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
                    words = (await reader.readline()).split()
                    return int(words[1])
        except TimeoutError:
            raise EngineDown(f"it did not answer in {self._timeout_s:g} seconds") from None
        except FileNotFoundError as error:
            raise EngineDown("its socket is not there") from error
        except ConnectionRefusedError as error:
            raise EngineDown("nothing listens at its address") from error
        except OSError as error:
            raise EngineDown(error.strerror or str(error)) from error
        except (IndexError, ValueError) as error:
            raise EngineDown("it does not answer with HTTP") from error

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        match self._address.scheme:
            case "unix":
                return await asyncio.open_unix_connection(self._address.path)
            case "tcp" | "http" | "https":
                port = self._address.port or (2376 if self._ssl else 2375)
                return await asyncio.open_connection(self._address.hostname, port, ssl=self._ssl)
            case scheme:
                raise EngineDown(f"DOCKER_HOST begins with {scheme}://, which is not understood: use unix:// or tcp://")
