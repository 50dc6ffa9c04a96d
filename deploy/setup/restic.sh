#!/usr/bin/env bash
# restic, with which `repolaunch backup` works. The service runs without it, so nothing here fails set-up.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# 0.17 is the first whose exit codes tell what went wrong; Debian 12 has 0.14.
new_enough() { have restic && restic version | awk '{ split($2, n, "."); exit !(n[1] > 0 || n[2] >= 17) }'; }

if new_enough || ! can_install; then exit 0; fi

say "installing restic into /usr/local/bin"
from_trixie restic usr/bin/restic /usr/local/bin/restic || true
new_enough || say "restic 0.17 or newer is not here: install it before you make a backup"
