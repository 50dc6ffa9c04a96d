#!/usr/bin/env bash
# What only the tests need: Chromium, PostgreSQL's programs, git's servers, git-lfs, shellcheck, networks of their own.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

has_postgres() {
  have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}
has_chromium() { have chromium || have chromium-browser || have google-chrome; }
git_has() { [ -x "$(git --exec-path 2>/dev/null)/$1" ]; }

missing=()
if ! have git || ! git_has git-daemon || ! git_has git-http-backend; then missing+=(git); fi
if ! have git-lfs; then missing+=(git-lfs); fi
if ! have ip; then missing+=(iproute2); fi
if ! have shellcheck; then missing+=(shellcheck); fi
if ! have gpg || ! have gpg-agent; then missing+=(gpg gpg-agent); fi
if ! have nft; then missing+=(nftables); fi
if ! have ip; then missing+=(iproute2); fi
if ! has_chromium; then missing+=(chromium fonts-liberation); fi
if ! has_postgres; then missing+=(postgresql); fi
if ((${#missing[@]} == 0)); then exit 0; fi

can_install || die "The tests need ${missing[*]} (and cannot install it here): install it, and run this again."
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
  # The tests start clusters of their own; none is made, and none is started, by the package.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.conf
  fi
fi
apt_install "${missing[@]}"
