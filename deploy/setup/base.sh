#!/usr/bin/env bash
# The site's base image, localhost/repolaunch/base:1, and what the machine's own tools stand on, localhost/repolaunch/trusting:1:
# the same with the machine's certificate authorities. Each is built when one of its inputs changed.
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
authorities="$(digest_text "$(<"$certificates")")"
trusting="$(digest_text "$inputs" "$authorities")"

# is_built IMAGE KEY
is_built() { [ "$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null || true)" = "$2" ]; }
if is_built "$BASE_IMAGE" "$inputs" && is_built "$TRUSTING_IMAGE" "$trusting"; then exit 0; fi

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
# build STAGE IMAGE KEY
build() {
  quietly "$1" docker buildx build --load --progress plain --pull=false --target "$1" \
    --secret "id=certificates,src=$certificates" --secret "id=pip.conf,src=$work.pip.conf" \
    "${proxies[@]}" --build-arg "CERTIFICATES=$authorities" --label "$label=$3" --tag "$2" "$work" ||
    die "The base image could not be built: see $LOGS/$1.log, repair what it says, and run this again."
}
build base "$BASE_IMAGE" "$inputs"
build trusting "$TRUSTING_IMAGE" "$trusting"
size="$(docker image inspect --format '{{.Size}}' "$BASE_IMAGE")"
say "$BASE_IMAGE is there ($((size / 1000000)) MB)"
