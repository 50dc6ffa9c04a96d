#!/usr/bin/env bash
# The image of the parts, localhost/repolaunch/service:1, from this checkout. Set-up must have been run.
# build.sh [TAG]
. "$(dirname "${BASH_SOURCE[0]}")/../setup/lib.sh"

tag="${1:-localhost/repolaunch/service:1}"
cd "$ROOT"
if [ ! -d frontend/dist ] || [ ! -d deploy/proxy/node_modules ]; then die "Run 'make setup' first, then this again."; fi
docker image inspect "$TRUSTING_IMAGE" >/dev/null 2>&1 || die "The image $TRUSTING_IMAGE is missing: run 'make setup', then this again."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/context"
# What runs, and nothing else of the folder: no data, no settings, no environment of its own.
tar -c --exclude=__pycache__ --exclude=frontend/node_modules launcher builders deploy frontend/dist requirements pyproject.toml README.md |
  tar -x -C "$work/context"
(umask 077 && "$VENV/bin/python" -m builders.machine pip >"$work/pip.conf")
proxies=()
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
  if [ -n "${!name:-}" ]; then proxies+=(--build-arg "$name"); fi
done
quietly service docker buildx build --load --progress plain --pull=false --secret "id=pip.conf,src=$work/pip.conf" \
  "${proxies[@]}" --file deploy/images/service/Dockerfile --tag "$tag" "$work/context" ||
  die "The service's image could not be built: see $LOGS/service.log, repair what it says, and run this again."
say "$tag is there"
