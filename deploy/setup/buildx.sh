#!/usr/bin/env bash
# docker buildx: repo2docker refuses to work without it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

works() { docker buildx version >/dev/null 2>&1; }

plugin_folder() {
  if is_root; then
    printf /usr/local/lib/docker/cli-plugins
  else
    printf '%s/cli-plugins' "${DOCKER_CONFIG:-$HOME/.docker}"
  fi
}

# The plugin as a package of the newest Debian, taken apart: it needs nothing but libc6 >= 2.34. The second list of
# sources lives in a folder of its own; the machine's apt stays as it is.
from_trixie() {
  local uri work keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  uri="$(debian_uri main)"
  [ -n "$uri" ] && [ -f "$keyring" ] || return 1
  work="$(mktemp -d)"
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$work'" EXIT
  chmod 755 "$work" # apt's own user reads here
  mkdir -p "$work/lists/partial" "$work/parts" "$work/cache/archives/partial"
  printf 'deb [signed-by=%s] %s trixie main\n' "$keyring" "$uri" >"$work/sources.list"
  local apt=(apt-get -q
    -o "Dir::Etc::SourceList=$work/sources.list" -o "Dir::Etc::SourceParts=$work/parts"
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache")
  quietly buildx-update "${apt[@]}" update || return 1
  (cd "$work" && quietly buildx-download "${apt[@]}" download docker-buildx) || return 1
  quietly buildx-unpack dpkg-deb -x "$work"/docker-buildx_*.deb "$work/package" || return 1
  mkdir -p "$(plugin_folder)"
  install -m 755 "$work/package/usr/libexec/docker/cli-plugins/docker-buildx" "$(plugin_folder)/docker-buildx"
}

if works; then exit 0; fi

if has_apt; then
  if is_root; then apt_update; fi
  if is_root && apt-cache show docker-buildx >/dev/null 2>&1; then
    apt_install docker-buildx
  else
    say "installing the buildx plugin into $(plugin_folder)"
    from_trixie || true
  fi
fi
works || die "The docker command has no buildx plugin: install it (docs.docker.com/go/buildx, or the package docker-buildx-plugin), and run this again."
