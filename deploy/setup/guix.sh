#!/usr/bin/env bash
# The image of Guix, localhost/repolaunch/guix:1: built when one of its inputs changed. `make setup-guix`, no part of `make run`:
# it is for sites that build Guix environments.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
one_at_a_time

context="$ROOT/deploy/images/guix"
label="org.repolaunch.guix.key"

mkdir -p "$BUILD/base"
certificates="$BUILD/base/certificates.pem"
[ -f "$certificates" ] || "$VENV/bin/python" -m builders.machine certificates >"$certificates"
inputs="$(digest deploy/images/guix/Dockerfile)"
key="$(digest_text "$inputs" "$(<"$certificates")")"
built="$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$GUIX_IMAGE" 2>/dev/null || true)"
if [ "$built" = "$key" ]; then exit 0; fi

"$SETUP/debian.sh" sid
say "building $GUIX_IMAGE (a minute or two)"
proxies=()
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
  if [ -n "${!name:-}" ]; then proxies+=(--build-arg "$name"); fi
done
quietly guix docker buildx build --load --progress plain --pull=false --secret "id=certificates,src=$certificates" \
  "${proxies[@]}" --label "$label=$key" --tag "$GUIX_IMAGE" "$context" ||
  die "The image of Guix could not be built: see $LOGS/guix.log, repair what it says, and run this again."
size="$(docker image inspect --format '{{.Size}}' "$GUIX_IMAGE")"
say "$GUIX_IMAGE is there ($((size / 1000000)) MB)"
