#!/usr/bin/env bash
# docker buildx: repo2docker refuses to work without it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

plugin=usr/libexec/docker/cli-plugins/docker-buildx

works() { docker buildx version >/dev/null 2>&1; }

plugin_folder() {
  if is_root; then
    printf /usr/local/lib/docker/cli-plugins
  else
    printf '%s/cli-plugins' "${DOCKER_CONFIG:-$HOME/.docker}"
  fi
}

if works; then exit 0; fi

if has_apt; then
  if is_root; then apt_update; fi
  if is_root && apt-cache show docker-buildx >/dev/null 2>&1; then
    apt_install docker-buildx
  else
    say "installing the buildx plugin into $(plugin_folder)"
    from_trixie docker-buildx "$plugin" "$(plugin_folder)/docker-buildx" || true
  fi
fi
works || die "The docker command has no buildx plugin: install it (docs.docker.com/go/buildx, or the package docker-buildx-plugin), and run this again."
