#!/usr/bin/env bash
# The image of Nix, localhost/repolaunch/nix:1: built when one of its inputs changed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

context="$ROOT/deploy/images/nix"
label="org.repolaunch.nix.key"

# The image that it is made from is one of its inputs.
base="$(docker image inspect --format '{{.Id}}' "$TRUSTING_IMAGE")"
inputs="$(digest deploy/images/nix/Dockerfile deploy/images/nix/readonly.c)"
key="$(digest_text "$inputs" "$base")"
built="$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$NIX_IMAGE" 2>/dev/null || true)"
if [ "$built" = "$key" ]; then exit 0; fi

say "building $NIX_IMAGE (a quarter of a minute)"
proxies=()
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
  if [ -n "${!name:-}" ]; then proxies+=(--build-arg "$name"); fi
done
quietly nix docker buildx build --load --progress plain --pull=false \
  "${proxies[@]}" --label "$label=$key" --tag "$NIX_IMAGE" "$context" ||
  die "The image of Nix could not be built: see $LOGS/nix.log, repair what it says, and run this again."
size="$(docker image inspect --format '{{.Size}}' "$NIX_IMAGE" "$TRUSTING_IMAGE" | awk 'NR == 1 { own = $1 } NR == 2 { print int((own - $1) / 1000000) }')"
say "$NIX_IMAGE is there ($size MB more than the base image)"
