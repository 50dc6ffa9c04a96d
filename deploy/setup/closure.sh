#!/usr/bin/env bash
# The single-user server of Nix and Guix images: built once for each version of it, and kept for all checkouts and sites of
# whoever runs this; by root, of the machine. `make setup` and `make run REPO=…` build it; the example of `make run` does without.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
one_at_a_time

cd "$ROOT"
mapfile -t inputs < <(find deploy/closure deploy/images/base requirements/singleuser.lock requirements/closure.lock \
  -type f -not -path '*/__pycache__/*' | LC_ALL=C sort)
key="$(digest "${inputs[@]}")"
# As builders/server.py has it.
machines=/var/cache/repolaunch/closure
if is_root; then own="$machines"; else own="${XDG_CACHE_HOME:-$HOME/.cache}/repolaunch/closure"; fi
kept="${REPOLAUNCH_CLOSURE:-$own}"
is_current() { [ "$(readlink "$1/current" 2>/dev/null || true)" = "$key" ] && [ -f "$1/$key/server.json" ]; }
if is_current "$kept"; then exit 0; fi
if [ -z "${REPOLAUNCH_CLOSURE:-}" ] && [ ! -e "$kept/current" ] && is_current "$machines"; then exit 0; fi

if [ ! -f "$kept/$key/server.json" ]; then
  say "building the notebook server of Nix and Guix images (two or three minutes, once)"
fi
mkdir -p "$kept"
exec 8>"$kept/.lock"
if ! flock -n 8; then
  say "waiting for another checkout's set-up, which builds here too"
  flock 8
fi
configuration="$(mktemp)"
trap 'rm -f "$configuration"' EXIT
"$VENV/bin/python" -m builders.machine pip >"$configuration"
# The index settings of this machine without those that lead to its own folders: a build cannot reach them.
PIP_CONFIG_FILE="$configuration" PIP_FIND_LINKS='' \
  quietly closure "$VENV/bin/python" -m deploy.closure.build "$BASE_IMAGE" "$key" \
  requirements/singleuser.lock requirements/closure.lock ||
  die "The notebook server of Nix and Guix images could not be built: see $LOGS/closure.log, repair what it says, and run this again."
