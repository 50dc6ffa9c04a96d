"""One repository of a registry, to push to: the few requests of the OCI distribution API that it takes.

It blocks and may be used by several threads. urllib3 keeps connections open between requests and sends a body as it is
made, which tornado's client (`builders/registry.py`, for short questions) does not. What both understand of passwords
and tokens is `builders/challenge.py`.
"""

from __future__ import annotations

import json
import re
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3

from builders.challenge import parse_challenge, token_in
from builders.errors import RegistryDown
from builders.oci.image import LAYER_TYPE, MANIFEST_TYPE, Blob, digest_of
from builders.registry import ASKS, REFUSES, why
from builders.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builders.challenge import Challenge
    from builders.oci.access import Access
    from builders.oci.image import Hashed

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MAX_DOCUMENT = 64 * 1024 * 1024
"""Bytes of a manifest or of a paper about an image: a list of 100,000 store paths has 20 million."""
CHUNK = 1024 * 1024
_CONNECT_S, _ANSWER_S = 30, 300
_OK, _CREATED, _ACCEPTED, _FOUND, _ELSEWHERE, _UNAUTHORIZED, _MISSING = 200, 201, 202, 302, 307, 401, 404
_BYTES = {"Content-Type": "application/octet-stream"}
_SAID = 300
_TAGS = 1000
_NEXT = re.compile(r'<([^>]+)>;\s*rel="?next"?')
_CONNECTIONS = 8


class Repository:
    """Blobs and manifests of one repository. Every method raises RegistryDown."""

    def __init__(self, how: Access, name: str) -> None:
        """Connects to nothing yet."""
        self.registry = how.host
        self.name = name
        self._base = f"{'https' if how.tls else 'http'}://{how.host}"
        self._login = how.login
        self._scope = f"repository:{name}:pull,push"
        self._granted: dict[str, str] = {}
        context = ssl.create_default_context(cafile=how.ca_file) if how.tls else None
        self._pool = urllib3.PoolManager(maxsize=_CONNECTIONS, retries=False, ssl_context=context)

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        answer = self._ask("HEAD", f"/blobs/{digest}")
        # Some send to where they keep what they have.
        return self._expected(answer, _OK, _FOUND, _ELSEWHERE, _MISSING).status != _MISSING

    def mount(self, digest: str, source: str) -> str:
        """Take a blob over from another repository of the registry; `""`: done, else where to upload it instead."""
        query = urlencode({"mount": digest, "from": source})
        answer = self._ask("POST", f"/blobs/uploads/?{query}")
        if answer.status == _UNAUTHORIZED:  # not for us, over there
            return self.begin()
        if self._expected(answer, _CREATED, _ACCEPTED).status == _CREATED:
            return ""
        return self._place(answer)

    def begin(self) -> str:
        """Where an upload goes."""
        return self._place(self._expected(self._ask("POST", "/blobs/uploads/"), _ACCEPTED))

    def send(self, place: str, body: bytes | Iterable[bytes], blob: Blob) -> None:
        """Upload bytes whose digest is known, in one request."""
        headers = {**_BYTES, "Content-Length": str(blob.size)}
        self._expected(self._send("PUT", _with(place, blob.digest), body=body, headers=headers), _CREATED)

    def upload(self, place: str, chunks: Iterable[bytes], hashed: Hashed) -> None:
        """Upload what `chunks` gives as it comes; `hashed`, which they pass, knows the digest when all was sent."""
        # A stream cannot be begun again; that we may was answered a moment ago.
        answer = self._send("PATCH", place, body=chunks, headers=_BYTES, chunked=True)
        place = self._place(self._expected(answer, _ACCEPTED))
        self._expected(self._ask("PUT", _with(place, hashed.blob.digest), body=b"", headers=_BYTES), _CREATED)

    def put(self, data: bytes) -> None:
        """Upload a small blob, unless it is there."""
        blob = Blob(digest_of(data), len(data))
        if not self.has(blob.digest):
            self.send(self.begin(), data, blob)

    def put_manifest(self, reference: str, manifest: bytes, kind: str = MANIFEST_TYPE) -> bool:
        """Store the manifest under a tag or its digest; whether the registry noted what its `subject` is."""
        answer = self._ask("PUT", f"/manifests/{reference}", body=manifest, headers={"Content-Type": kind})
        headers = self._expected(answer, _CREATED).headers
        if headers.get("Docker-Content-Digest") not in {None, digest_of(manifest)}:
            raise self._down("it stored another manifest than the one that it was given")
        return "OCI-Subject" in headers

    def manifest(self, reference: str, *kinds: str) -> bytes | None:
        """The manifest of one of these media types with this tag or digest; None: there is none."""
        return self._document(f"/manifests/{reference}", ", ".join(kinds))

    def tags(self) -> list[str]:
        """All of the repository's tags; none where there is no such repository."""
        found: list[str] = []
        where = f"/tags/list?n={_TAGS}"
        while where:
            answer = self._expected(self._ask("GET", where), _OK, _MISSING)
            if answer.status == _MISSING:
                break
            try:
                found += [str(tag) for tag in json.loads(answer.data)["tags"] or ()]
            except (ValueError, KeyError, TypeError):
                raise self._down("its list of tags cannot be read") from None
            link = _NEXT.match(answer.headers.get("Link", ""))
            where = urljoin(f"{self._base}/", link[1]) if link else ""
        return found

    def delete(self, digest: str) -> None:
        """Remove a manifest, and the tags that lead to it; no error where there is none."""
        answer = self._ask("DELETE", f"/manifests/{digest}")
        self._expected(answer, _ACCEPTED, _OK, _MISSING)

    def referrers(self, digest: str) -> bytes | None:
        """The index of what has this image for its `subject`; None: the registry does not know of such things."""
        return self._document(f"/referrers/{digest}", INDEX_TYPE)

    def blob(self, digest: str) -> bytes:
        """A small blob, which has to be there."""
        data = b"".join(self.chunks(digest, MAX_DOCUMENT))
        if digest_of(data) != digest:
            raise self._down("it gives other bytes than those that it was asked for")
        return data

    def chunks(self, digest: str, most: int | None = None) -> Iterator[bytes]:
        """The bytes of a blob, which has to be there, as they come; who reads them compares their digest."""
        answer = self._ask("GET", f"/blobs/{digest}", stream=True)
        if answer.status in {_FOUND, _ELSEWHERE}:
            answer = self._send("GET", self._place(answer), body=None, headers={}, stream=True)
        try:
            read = 0
            for chunk in self._expected(answer, _OK).stream(CHUNK):
                read += len(chunk)
                if most is not None and read > most:
                    raise self._down("it gives more bytes than such a document has")
                yield chunk
        except urllib3.exceptions.HTTPError as error:
            raise self._down(_innermost(error)) from error
        finally:
            answer.release_conn()

    def close(self) -> None:
        """Close what is open."""
        self._pool.clear()

    # ------------------------------------------------------------------ requests
    def _document(self, where: str, kind: str) -> bytes | None:
        answer = self._expected(self._ask("GET", where, headers={"Accept": kind}), _OK, _MISSING)
        if answer.status == _MISSING:
            return None
        if len(answer.data) > MAX_DOCUMENT:
            raise self._down("it gives more bytes than such a document has")
        return answer.data

    def _place(self, answer: urllib3.BaseHTTPResponse) -> str:
        location = answer.headers.get("Location", "")
        if not location:
            raise self._down("it does not say where to upload to")
        return urljoin(f"{self._base}/", location)

    def _ask(
        self,
        method: str,
        where: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """The answer; asked again with a token where one is wanted."""
        url = where if "://" in where else f"{self._base}/v2/{self.name}{where}"
        answer = self._send(method, url, body=body, headers=headers or {}, stream=stream)
        challenge = parse_challenge(answer.headers.get("WWW-Authenticate", ""))
        if answer.status != _UNAUTHORIZED or challenge is None:
            return answer
        # Several blobs go at one time: what one of them was granted, to look only, must not become another's, to write.
        # For a mount the challenge names the other repository too: its token is good for an upload as well.
        token = self._granted[_need(method)] = f"Bearer {self._token(challenge)}"
        answer.release_conn()
        return self._send(method, url, body=body, headers=headers or {}, stream=stream, authorization=token)

    def _token(self, challenge: Challenge) -> str:
        try:
            address = challenge.address(self._scope)
            answer = self._pool.request("GET", address, headers=_authorized(_basic(self._login)), redirect=False)
            return token_in(answer.status, answer.reason or "", answer.data)
        except ValueError as error:
            raise self._down(str(error)) from None
        except urllib3.exceptions.HTTPError as error:
            raise self._down(_innermost(error)) from error

    def _send(
        self,
        method: str,
        url: str,
        *,
        body: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
        chunked: bool = False,
        stream: bool = False,
        authorization: str | None = None,
    ) -> urllib3.BaseHTTPResponse:
        if authorization is None:
            authorization = self._granted.get(_need(method)) or _basic(self._login)
        # An upload may be sent elsewhere; a login is for this registry only.
        ours = urlsplit(url)[:2] == urlsplit(self._base)[:2]
        given = {"Accept": f"{MANIFEST_TYPE}, {LAYER_TYPE}", **headers}
        limit = urllib3.Timeout(connect=_CONNECT_S, read=_ANSWER_S)
        try:
            return self._pool.request(
                method,
                url,
                body=body,
                headers={**given, **(_authorized(authorization) if ours else {})},
                chunked=chunked,
                redirect=False,
                timeout=limit,
                preload_content=not stream,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._down(_innermost(error)) from error

    def _expected(self, answer: urllib3.BaseHTTPResponse, *wanted: int) -> urllib3.BaseHTTPResponse:
        if answer.status in wanted:
            return answer
        if answer.status == _UNAUTHORIZED:
            raise self._down(REFUSES if self._login else ASKS)
        raise self._down(f"it answers {answer.status} {answer.reason}{_said(answer.data)}")

    def _down(self, reason: str) -> RegistryDown:
        return RegistryDown(self.registry, reason)


def _need(method: str) -> str:
    return {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(method, "push")


def _with(place: str, digest: str) -> str:
    return f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': digest})}"


def _basic(login: tuple[str, str] | None) -> str:
    if login is None:
        return ""
    return urllib3.make_headers(basic_auth=":".join(login))["authorization"]


def _authorized(authorization: str) -> dict[str, str]:
    return {"Authorization": authorization} if authorization else {}


def _said(body: bytes) -> str:
    """What a registry's error says for people; `""`: nothing."""
    try:
        texts = [str(one["message"]) for one in json.loads(body)["errors"]]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {clean(', '.join(texts))[:_SAID]}" if texts else ""


def _innermost(error: BaseException) -> str:
    """The cause in words: urllib3 wraps it."""
    inner: BaseException = error
    while (cause := inner.__cause__ or inner.__context__) is not None:
        inner = cause
    if isinstance(inner, TimeoutError):
        return "it did not answer in time"
    return why(inner)
