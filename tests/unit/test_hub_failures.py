"""What an error of the container engine means for whoever waits for a session."""

from __future__ import annotations

import pytest
from docker.errors import APIError, DockerException
from requests.exceptions import ReadTimeout

from deploy.hub.failures import of_engine

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
