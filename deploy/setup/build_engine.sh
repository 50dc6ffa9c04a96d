#!/usr/bin/env bash
# The image of the engine that builds, localhost/repolaunch/build-engine:1: built when one of its inputs changed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

context="$ROOT/deploy/images/build-engine"
label="org.repolaunch.build-engine.key"

# The image that it is made from is one of its inputs.
base="$(docker image inspect --format '{{.Id}}' "$TRUSTING_IMAGE")"
inputs="$(digest deploy/images/build-engine/Dockerfile)"
key="$(digest_text "$inputs" "$base")"
built="$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$BUILD_ENGINE_IMAGE" 2>/dev/null || true)"
if [ "$built" = "$key" ]; then exit 0; fi

say "building $BUILD_ENGINE_IMAGE (half a minute)"
proxies=()
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
  if [ -n "${!name:-}" ]; then proxies+=(--build-arg "$name"); fi
done
quietly build-engine docker buildx build --load --progress plain --pull=false \
  "${proxies[@]}" --label "$label=$key" --tag "$BUILD_ENGINE_IMAGE" "$context" ||
  die "The build engine's image could not be built: see $LOGS/build-engine.log, repair what it says, and run this again."
size="$(docker image inspect --format '{{.Size}}' "$BUILD_ENGINE_IMAGE" "$TRUSTING_IMAGE" | awk 'NR == 1 { own = $1 } NR == 2 { print int((own - $1) / 1000000) }')"
say "$BUILD_ENGINE_IMAGE is there ($size MB more than the base image)"
