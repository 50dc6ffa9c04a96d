#!/usr/bin/env bash
# A running Docker Engine: the one that answers, else Debian's own. An engine that is started here is left running.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

answers() { docker info >/dev/null 2>&1; }

# `docker info` takes a while when the engine is busy; its socket's /_ping does not.
ping_engine() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

start_engine() {
  if [ -d /run/systemd/system ]; then
    say "starting the Docker Engine (systemctl start docker)"
    quietly engine systemctl start docker || true
  else
    mkdir -p /var/log/repolaunch
    say "starting dockerd (its log: /var/log/repolaunch/dockerd.log)"
    # Not a child of this set-up: no terminal, no signals, no lock of ours.
    setsid dockerd >>/var/log/repolaunch/dockerd.log 2>&1 </dev/null 9>&- &
  fi
}

wait_for_engine() {
  local _
  for _ in $(seq 150); do
    if answers; then return 0; fi
    sleep 0.2
  done
  return 1
}

if have docker && ping_engine; then exit 0; fi

one_sentence="No Docker Engine answers: install Docker Engine (docs.docker.com/engine/install) or start it, make sure that $(id -un) may use it, and run this again."
is_root || die "$one_sentence"
if ! have dockerd; then
  has_apt || die "$one_sentence"
  apt_install docker.io iptables
fi
if ! answers; then start_engine; fi
wait_for_engine || die "The Docker Engine does not answer after 30 seconds: see /var/log/repolaunch/dockerd.log or 'journalctl -u docker', repair it, and run this again."
