"""What an error of the container engine means for whoever waits for a session."""

from __future__ import annotations

import pytest
from docker.errors import APIError, DockerException
from requests.exceptions import ReadTimeout

from deploy.hub.failures import of_engine
from deploy.hub.pull import raise_if_broken

AWAY = "The container engine does not answer. Your files are kept; try again in a few minutes."
FULL = "There is no room left on the disk of the container engine. Your files are kept; the operator has to make room."


@pytest.mark.parametrize(
    "error,told",
    [
        (APIError("x", explanation="mkdir /var/lib/docker/overlay2/x: no space left on device"), f"full: {FULL}"),
        (APIError("x", explanation="network not found"), "failed: It could not start."),
        (ReadTimeout("60"), f"engine: {AWAY}"),
        (DockerException("Error while fetching server API version"), f"engine: {AWAY}"),
        (ConnectionRefusedError(111, "Connection refused"), f"engine: {AWAY}"),
    ],
)
def test_an_error_of_the_engine(error: Exception, told: str) -> None:
    assert of_engine(error, "It could not start.").jupyterhub_message == told


def test_a_pull_that_fails_in_the_midst_of_its_answer() -> None:
    lines = [
        b'{"status":"Pulling from repolaunch/env"}',
        b'{"status":"Downloading","progressDetail":{"current":1,"total":2}}',
        b"not JSON",
        b'{"errorDetail":{"message":"write /x: no space left on device"},"error":"write /x: no space left on device"}',
    ]
    raise_if_broken(lines[:3])
    with pytest.raises(APIError) as broken:
        raise_if_broken(lines)
    assert of_engine(broken.value, "It could not be fetched.").jupyterhub_message == f"full: {FULL}"
