#!/usr/bin/env bash
# deploy/setup/debian.sh SUITE : the image debian:SUITE, pulled or made from packages.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

suite="$1"

# Does a registry give it? One that does not say within 10 seconds that it has it is no registry of ours.
pull_debian() {
  local out="$LOGS/pull-debian-$suite.log" pulling _
  mkdir -p "$LOGS"
  docker pull "debian:$suite" >"$out" 2>&1 </dev/null 9>&- &
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

# Where its packages come from. Sid is not released: it has no updates, and its lists may look out of date.
sources() {
  local main="$1" security="$2"
  if [ "$suite" = sid ]; then
    printf 'deb [check-valid-until=no] %s sid main\n' "$main"
    return
  fi
  printf 'deb %s %s main\ndeb %s %s-updates main\n' "$main" "$suite" "$main" "$suite"
  if [ -n "$security" ]; then printf 'deb %s %s-security main\n' "$security" "$suite"; fi
}

# From the packages themselves, with security updates where this machine has a mirror of them.
make_debian() {
  local main security work
  if ! have mmdebstrap; then apt_install mmdebstrap; else apt_update; fi
  main="$(debian_uri main)"
  [ -n "$main" ] || return 1
  security="$(debian_uri security)"
  work="$(mktemp -d)"
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$work'" EXIT
  say "no registry answers: making debian:$suite from packages (mmdebstrap)"
  sources "$main" "$security" >"$work/sources.list"
  # As Debian's own slim images: no manuals, no translations of messages.
  local no_manuals=(--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*'
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright')
  quietly "mmdebstrap-$suite" mmdebstrap --variant=minbase --include=ca-certificates \
    "${no_manuals[@]}" "$suite" "$work/debian.tar" "$work/sources.list" || return 1
  quietly "import-$suite" docker import --change 'CMD ["bash"]' "$work/debian.tar" "debian:$suite"
}

if docker image inspect "debian:$suite" >/dev/null 2>&1; then exit 0; fi
say "getting the image debian:$suite"
if pull_debian; then exit 0; fi
can_install || die "No registry gives the image debian:$suite: let this engine reach one, or 'docker load' the image, and run this again."
make_debian || die "The image debian:$suite can neither be pulled nor made from packages: 'docker load' it, and run this again."
