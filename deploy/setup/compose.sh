#!/usr/bin/env bash
# `docker compose`: only deploy/compose and its tests want it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

works() { docker compose version >/dev/null 2>&1; }

plugin=usr/libexec/docker/cli-plugins/docker-compose
if works; then exit 0; fi
if can_install; then
  say "installing the compose plugin into /usr/local/lib/docker/cli-plugins"
  from_trixie docker-compose "$plugin" /usr/local/lib/docker/cli-plugins/docker-compose || true
fi
works || die "The docker command has no compose plugin: install it (docs.docker.com/compose/install), and run this again."
