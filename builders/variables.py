"""The variables of a builder process, and the names of what is found in the folders that they name."""

from __future__ import annotations

ENVIRONMENT = (
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_CONFIG_FILE",
    "REPOLAUNCH_BUILD_ENGINE",
    "REPOLAUNCH_NETWORK",
    "REPOLAUNCH_STORES",
    "REPOLAUNCH_VIEWS",
    "REPOLAUNCH_CLOSURE",
    "REPOLAUNCH_NIXPKGS",
    "REPOLAUNCH_NIX_CACHES",
    "REPOLAUNCH_STORE_CACHE",
    "REPOLAUNCH_GUIX",
    "XDG_CACHE_HOME",
)
"""The variables that a builder process understands: all that it should be given."""
BUILD_ENGINE = "REPOLAUNCH_BUILD_ENGINE"
"""The folder with the sockets of the engine that builds, if that is not DOCKER_HOST's."""
NETWORK = "REPOLAUNCH_NETWORK"
"""The engine's network of what Nix and Guix fetch, where no build engine is named; `bridge` where nothing is said."""
GUIX = "REPOLAUNCH_GUIX"
"""How Guix is run at this site (builders/guix/means.py)."""
SITE_CHANNELS = "site/channels.scm"
"""In the folder of the stores: the Guix channels that a site has chosen."""
STORES = "REPOLAUNCH_STORES"
"""The folder of the Nix and Guix stores (`Workshop.stores`)."""
VIEWS = "REPOLAUNCH_VIEWS"
"""`1`: sessions of this machine are given Nix and Guix environments as views of the stores (`builders/oci/view.py`)."""
CLOSURE = "REPOLAUNCH_CLOSURE"
"""The folder in which set-up keeps the notebook server of Nix and Guix images (`builders/server.py`)."""
NIXPKGS = "REPOLAUNCH_NIXPKGS"
"""The nixpkgs that a site has chosen for those who chose none (`builders/nix/site.py`)."""
NIX_CACHES = "REPOLAUNCH_NIX_CACHES"
"""The binary caches that a site trusts (`builders/nix/site.py`)."""
STORE_CACHE = "REPOLAUNCH_STORE_CACHE"
"""The cache that a site fills itself (`builders/site_cache.py`)."""
ENGINE_SOCKET, CONTROL_SOCKET = "engine.sock", "control.sock"
"""In the folder of the building engine: of the engine itself, and of the supervisor that gives leases there."""
USERNAME = "REPOLAUNCH_REGISTRY_USERNAME"
PASSWORD = "REPOLAUNCH_REGISTRY_PASSWORD"  # noqa: S105  # the name of the variable
"""And for the verbs that speak to the registry: its login. Never as an argument."""
TLS = "REPOLAUNCH_REGISTRY_TLS"
CA_FILE = "REPOLAUNCH_REGISTRY_CA_FILE"
"""And for those that do so without the engine: `1` or `0`, and the file with the authority of its certificate."""
