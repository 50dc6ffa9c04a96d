#!/usr/bin/env bash
# What environments from Python lock files are built on, localhost/repolaunch/python:1: the base image's server
# without a kernel. Built when one of its inputs changed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

context="$ROOT/deploy/images/python"
label="org.repolaunch.python.key"

# The image that it is made from is one of its inputs.
base="$(docker image inspect --format '{{.Id}}' "$BASE_IMAGE")"
key="$(digest_text "$(digest deploy/images/python/Dockerfile deploy/images/base/repolaunch-singleuser)" "$base")"
built="$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$PYTHON_IMAGE" 2>/dev/null || true)"
if [ "$built" = "$key" ]; then exit 0; fi

say "building $PYTHON_IMAGE (half a minute)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp -- "$context/Dockerfile" "$work/"
: >"$work/empty"
# -I: neither a variable nor a folder of the author's is looked at for the server's own modules.
sed '1s| -s$| -I|' "$ROOT/deploy/images/base/repolaunch-singleuser" >"$work/repolaunch-singleuser"
proxies=()
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
  if [ -n "${!name:-}" ]; then proxies+=(--build-arg "$name"); fi
done
quietly locked docker buildx build --load --progress plain --pull=false \
  "${proxies[@]}" --label "$label=$key" --tag "$PYTHON_IMAGE" "$work" ||
  die "$PYTHON_IMAGE could not be built: see $LOGS/locked.log, repair what it says, and run this again."
size="$(docker image inspect --format '{{.Size}}' "$PYTHON_IMAGE")"
say "$PYTHON_IMAGE is there ($((size / 1000000)) MB)"
