#!/usr/bin/env bash
# The site's base image, localhost/repolaunch/base:1: built when one of its inputs changed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

context="$ROOT/deploy/images/base"
label="org.repolaunch.base.key"

inputs="$(digest deploy/images/base/Dockerfile deploy/images/base/jupyter_server_config.py \
  deploy/images/base/repolaunch-singleuser deploy/images/base/overrides.json requirements/singleuser.lock)"
certificates="$BUILD/base/certificates.pem"
bundle="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"
# Reading a bundle takes longer than all other questions here: only when it is another one than last time.
bundle_state="$(stat -L -c '%n %s %Y' -- "$bundle" 2>/dev/null || true)"
if ! done_with "$BUILD/base/bundle" "$bundle_state" || [ ! -f "$certificates" ]; then
  mkdir -p "$BUILD/base"
  "$VENV/bin/python" -m builders.machine certificates >"$certificates"
  stamp "$BUILD/base/bundle" "$bundle_state"
fi
key="$(digest_text "$inputs" "$(<"$certificates")")"

built="$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$BASE_IMAGE" 2>/dev/null || true)"
if [ "$built" = "$key" ]; then exit 0; fi

"$SETUP/debian.sh" trixie
say "building $BASE_IMAGE (a minute or two)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp -- "$context"/* "$ROOT/requirements/singleuser.lock" "$work/"
(umask 077 && "$VENV/bin/python" -m builders.machine pip >"$work.pip.conf")
trap 'rm -rf "$work" "$work.pip.conf"' EXIT
proxies=()
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
  if [ -n "${!name:-}" ]; then proxies+=(--build-arg "$name"); fi
done
quietly base docker buildx build --load --progress plain --pull=false \
  --secret "id=certificates,src=$certificates" --secret "id=pip.conf,src=$work.pip.conf" \
  "${proxies[@]}" --label "$label=$key" --tag "$BASE_IMAGE" "$work" ||
  die "The base image could not be built: see $LOGS/base.log, repair what it says, and run this again."
size="$(docker image inspect --format '{{.Size}}' "$BASE_IMAGE")"
say "$BASE_IMAGE is there ($((size / 1000000)) MB)"
