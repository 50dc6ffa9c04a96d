#!/usr/bin/env bash
# The site's base image, localhost/repolaunch/base:1: built when one of its inputs changed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

context="$ROOT/deploy/images/base"
label="org.repolaunch.base.key"

# Does a registry give debian:trixie? One that does not say within 10 seconds that it has it is no registry of ours.
pull_debian() {
  local out="$LOGS/pull-debian.log" pulling _
  mkdir -p "$LOGS"
  docker pull debian:trixie >"$out" 2>&1 </dev/null 9>&- &
  pulling=$!
  for _ in $(seq 50); do
    if grep -q 'Pulling from' "$out" || ! kill -0 "$pulling" 2>/dev/null; then
      wait "$pulling"
      return
    fi
    sleep 0.2
  done
  kill "$pulling" 2>/dev/null || true
  return 1
}

# debian:trixie from the packages themselves, with security updates where this machine has a mirror of them.
make_debian() {
  local main security work
  if ! have mmdebstrap; then apt_install mmdebstrap; else apt_update; fi
  main="$(debian_uri main)"
  [ -n "$main" ] || return 1
  security="$(debian_uri security)"
  work="$(mktemp -d)"
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$work'" EXIT
  say "no registry answers: making debian:trixie from packages (mmdebstrap)"
  printf 'deb %s trixie main\ndeb %s trixie-updates main\n' "$main" "$main" >"$work/sources.list"
  if [ -n "$security" ]; then printf 'deb %s trixie-security main\n' "$security" >>"$work/sources.list"; fi
  # As Debian's own slim images: no manuals, no translations of messages.
  local no_manuals=(--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*'
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright')
  quietly mmdebstrap mmdebstrap --variant=minbase --include=ca-certificates \
    "${no_manuals[@]}" trixie "$work/debian.tar" "$work/sources.list" || return 1
  quietly import docker import --change 'CMD ["bash"]' "$work/debian.tar" debian:trixie
}

get_debian() {
  if docker image inspect debian:trixie >/dev/null 2>&1; then return; fi
  say "getting the image debian:trixie"
  if pull_debian; then return; fi
  can_install || die "No registry gives the image debian:trixie: let this engine reach one, or 'docker load' the image, and run this again."
  make_debian || die "The image debian:trixie can neither be pulled nor made from packages: 'docker load' it, and run this again."
}

inputs="$(digest deploy/images/base/Dockerfile deploy/images/base/jupyter_server_config.py \
  deploy/images/base/repolaunch-singleuser deploy/images/base/overrides.json requirements/singleuser.lock)"
certificates="$BUILD/base/certificates.pem"
bundle="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"
# Reading a bundle takes longer than all other questions here: only when it is another one than last time.
bundle_state="$(stat -L -c '%n %s %Y' -- "$bundle" 2>/dev/null || true)"
if ! done_with "$BUILD/base/bundle" "$bundle_state" || [ ! -f "$certificates" ]; then
  mkdir -p "$BUILD/base"
  "$VENV/bin/python" "$SETUP/machine_settings.py" certificates >"$certificates"
  stamp "$BUILD/base/bundle" "$bundle_state"
fi
key="$(digest_text "$inputs" "$(<"$certificates")")"

built="$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$BASE_IMAGE" 2>/dev/null || true)"
if [ "$built" = "$key" ]; then exit 0; fi

get_debian
say "building $BASE_IMAGE (a minute or two)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp -- "$context"/* "$ROOT/requirements/singleuser.lock" "$work/"
(umask 077 && "$VENV/bin/python" "$SETUP/machine_settings.py" pip >"$work.pip.conf")
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
