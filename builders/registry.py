"""The registry, asked by the build worker: an image is found by its environment key, with one request.

Images are `<prefix>/env:<key>`, those of private repositories `<prefix>/private/<namespace>/env:<key>`; whoever
starts one uses the digest that `find` gives, never the tag.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from typing import TYPE_CHECKING

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import HTTPTimeoutError, SimpleAsyncHTTPClient

from builders.challenge import Challenge, parse_challenge, token_in
from builders.errors import RegistryDown

if TYPE_CHECKING:
    from pathlib import Path

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_MANIFEST = 4 * 1024 * 1024
_OK, _UNAUTHORIZED, _MISSING = 200, 401, 404
REFUSES = "it refuses the username and the password"
ASKS = "it asks for a password"


class Registry:
    """A client of one registry (the OCI distribution API)."""

    def __init__(
        self,
        host: str,
        prefix: str,
        *,
        username: str = "",
        password: str = "",
        tls: bool = False,
        ca_file: Path | None = None,
        timeout_s: float = 10,
    ) -> None:
        """Of the registry at `host[:port]`; `ca_file` holds the authority that signed its certificate."""
        self.host = host
        self._prefix = f"{prefix}/" if prefix else ""
        self._base = f"{'https' if tls else 'http'}://{host}"
        self._login = (username, password) if username else None
        self._timeout_s = timeout_s
        # Made once: reading the authorities takes longer than the request.
        self._ssl = ssl.create_default_context(cafile=str(ca_file) if ca_file else None) if tls else None
        self._client: AsyncHTTPClient | None = None

    def target(self, key: str, space: str = "") -> str:
        """Where an environment's image is pushed to: `host/repository:key`."""
        return f"{self.name(space)}:{key}"

    def repository(self, space: str = "") -> str:
        """The images of a private repository's namespace, or everybody's."""
        return f"{self._prefix}private/{space}/env" if space else f"{self._prefix}env"

    def name(self, space: str = "") -> str:
        """What stands before `:<key>` and `@<digest>`: `host/repository`."""
        return f"{self.host}/{self.repository(space)}"

    def space_of(self, name: str) -> str | None:
        """The namespace of an image by its name with a tag or a digest; None: it is none of ours."""
        start = re.escape(f"{self.host}/{self._prefix}")
        found = re.fullmatch(rf"{start}(?:private/(?P<space>[0-9a-f]{{32}})/)?env[:@].*", name)
        return (found["space"] or "") if found else None

    @property
    def place(self) -> str:
        """What all of our repositories' names begin with: `host/prefix`, or the host alone."""
        return f"{self.host}/{self._prefix}".rstrip("/")

    @property
    def sources(self) -> str:
        """Where repositories' files are archived."""
        return f"{self.place}/source"

    async def find(self, key: str, space: str = "") -> str:
        """The digest of an environment's image; `""` if the registry has none. Raises RegistryDown."""
        repository = self.repository(space)
        url = f"{self._base}/v2/{repository}/manifests/{key}"
        response = await self._ask("HEAD", url, scope=f"repository:{repository}:pull")
        if response.code == _MISSING:
            return ""
        digest = response.headers.get("Docker-Content-Digest", "")
        if not digest:
            # The specification lets a registry leave it out; the digest is then that of what it answers.
            response = await self._ask("GET", url, scope=f"repository:{repository}:pull")
            digest = f"sha256:{hashlib.sha256(response.body).hexdigest()}"
        if not _DIGEST.fullmatch(digest):
            raise self._down(f"it names an image by {digest[:80]!r}")
        return digest

    async def health(self) -> None:
        """Ask whether it is a registry and lets us in. Raises RegistryDown."""
        response = await self._ask("GET", f"{self._base}/v2/", scope="")
        if response.code == _MISSING:
            raise self._down("it answers, but not as a registry")

    def close(self) -> None:
        """Close what is open."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _ask(self, method: str, url: str, *, scope: str) -> HTTPResponse:
        """The answer, 200 or 404. Raises RegistryDown for every other."""
        response = await self._fetch(method, url)
        if response.code == _UNAUTHORIZED:
            challenge = parse_challenge(response.headers.get("WWW-Authenticate", ""))
            if challenge is not None:
                token = await self._token(challenge, scope)
                response = await self._fetch(method, url, authorization=f"Bearer {token}")
        if response.code == _UNAUTHORIZED:
            raise self._down(REFUSES if self._login else ASKS)
        if response.code not in {_OK, _MISSING}:
            raise self._down(f"it answers {response.code} {response.reason}")
        return response

    async def _token(self, challenge: Challenge, scope: str) -> str:
        """A token from where the registry sends us for one."""
        try:
            response = await self._fetch("GET", challenge.address(scope))
            return token_in(response.code, response.reason, response.body)
        except ValueError as error:
            raise self._down(str(error)) from None

    async def _fetch(self, method: str, url: str, *, authorization: str = "") -> HTTPResponse:
        request = HTTPRequest(
            url,
            method=method,
            headers={"Accept": ", ".join(MANIFESTS)},
            connect_timeout=self._timeout_s,
            request_timeout=self._timeout_s,
            # A login must not follow a redirect to somebody else.
            follow_redirects=False,
            ssl_options=self._ssl if url.startswith("https:") else None,
        )
        if authorization:
            request.headers["Authorization"] = authorization
        elif self._login:
            request.auth_username, request.auth_password = self._login
            request.auth_mode = "basic"
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=_MAX_MANIFEST)
        try:
            return await self._client.fetch(request, raise_error=False)
        except (OSError, ValueError, HTTPClientError) as error:
            raise self._down(why(error)) from error

    def _down(self, reason: str) -> RegistryDown:
        return RegistryDown(self.host, reason)


def why(error: BaseException) -> str:
    """What went wrong with a connection, in words; tornado's own name a time limit “HTTP 599”."""
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, HTTPTimeoutError):
        return "it did not answer in time"
    said = error.strerror if isinstance(error, OSError) else None
    return said or str(error) or type(error).__name__
