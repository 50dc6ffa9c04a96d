"""What the parts may know of the operator's environment."""

from __future__ import annotations

import os

PASSED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_CONFIG_FILE",
)
ENGINE = ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_CONFIG")
"""Where the container engine is: for those who speak to it, which the launcher does not."""


def passed() -> dict[str, str]:
    """What every child may know of the operator's environment."""
    return {name: os.environ[name] for name in PASSED if name in os.environ}


def passed_with_engine() -> dict[str, str]:
    """The same for those who speak to the container engine."""
    return passed() | {name: os.environ[name] for name in ENGINE if name in os.environ}
