"""Fetches an image from the registry, and notices one that stops sending."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from docker.auth import encode_header
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from deploy.hub.failures import FAILED, NoSession, of_engine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from docker import APIClient

    from deploy.hub.clearing import Docker

SILENT_S = 120
"""Seconds in which the engine has nothing to tell of an image that it fetches; docker's own client waits for ever."""


async def fetched(docker: Docker, client: APIClient, image: str, login: Mapping[str, str]) -> dict[str, Any]:
    """What the engine says of the image that it lacked. Raises NoSession."""
    try:
        # A thread of its own: the engine's few are for what takes moments.
        await asyncio.to_thread(pull, client, image, login)
        found: dict[str, Any] = await docker("inspect_image", image)
    except (APIError, DockerException) as error:
        raise of_engine(error, "The image could not be fetched from the registry.") from error
    except RequestException as error:
        await docker("ping")  # raises where it is the engine that is silent
        said = "The registry stopped sending the image."
        raise NoSession(FAILED, said, log_message=f"{said} {error}") from error
    return found


def pull(client: APIClient, image: str, login: Mapping[str, str]) -> None:
    """Return when the engine has the image, `<name>@<digest>`. Blocks: not on a thread that others wait for.

    Raises APIError with the engine's words, requests' exceptions where it was silent for too long.
    """
    name, _, digest = image.partition("@")
    answer = client.post(
        f"{client.base_url}/v{client.api_version}/images/create",
        params={"fromImage": name, "tag": digest},
        headers={"X-Registry-Auth": encode_header(dict(login))} if login["username"] else {},
        stream=True,
        timeout=SILENT_S,
    )
    with contextlib.closing(answer):
        if not answer.ok:
            raise APIError(answer.text)
        raise_if_broken(answer.iter_lines())


def raise_if_broken(lines: Iterable[bytes]) -> None:
    """Raise an APIError with the error that the lines tell of: the engine's answer began with a 200."""
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict) and told.get("error"):
            raise APIError(str(told["error"]))
