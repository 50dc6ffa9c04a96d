# shellcheck shell=bash
# What the set-up steps share. Sourced, never run.
#
# A step is a script that may be run any number of times: it looks whether its work is done (a stamp, or a quick
# question to the machine) and then says nothing; it prints one short line for everything it does; where it cannot go
# on it says in one sentence what to install, and ends with 1.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
SETUP="$ROOT/deploy/setup"
VENV="$ROOT/.venv"
BUILD="$ROOT/build"
LOGS="$BUILD/setup-logs"
BASE_IMAGE="localhost/repolaunch/base:1"
BUILD_ENGINE_IMAGE="localhost/repolaunch/build-engine:1"
GUIX_IMAGE="localhost/repolaunch/guix:1"
NIX_IMAGE="localhost/repolaunch/nix:1"
PYTHON_IMAGE="localhost/repolaunch/python:1"
TRUSTING_IMAGE="localhost/repolaunch/trusting:1"
export ROOT SETUP VENV BUILD LOGS BASE_IMAGE BUILD_ENGINE_IMAGE GUIX_IMAGE NIX_IMAGE PYTHON_IMAGE TRUSTING_IMAGE

say() { printf 'set-up: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# Debian and what is made from it: packages can be asked for.
has_apt() { have apt-get && have dpkg; }

can_install() { is_root && has_apt; }

# digest FILE... : one digest of the names (seen from the root) and contents of files.
digest() { (cd "$ROOT" && sha256sum -- "$@") | sha256sum | cut -c1-32; }

# digest_text TEXT... : the same of words.
digest_text() { printf '%s\n' "$@" | sha256sum | cut -c1-32; }

# done_with STEP KEY : was this step done with this key? The stamps go when the folder they describe goes.
done_with() { [ -f "$1" ] && [ "$(<"$1")" = "$2" ]; }

stamp() {
  mkdir -p "$(dirname "$1")"
  printf '%s' "$2" >"$1"
}

# quietly NAME COMMAND... : run it with its output in a log that is shown only when it fails.
quietly() {
  local log="$LOGS/$1.log"
  shift
  mkdir -p "$LOGS"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 25 "$log" >&2
    say "failed: $* (all of its output is in $log)"
    return 1
  fi
}

# The package lists are fetched once per hour, however many steps want a package.
apt_update() {
  local lists="$BUILD/apt-updated"
  if [ -z "$(find "$lists" -mmin -60 2>/dev/null)" ]; then
    say "apt-get update"
    quietly apt-update apt-get update -q -o DPkg::Lock::Timeout=300
    mkdir -p "$BUILD"
    touch "$lists"
  fi
}

# apt_install PACKAGE... : as root on Debian.
apt_install() {
  apt_update
  say "apt-get install $*"
  DEBIAN_FRONTEND=noninteractive quietly "apt-$1" apt-get install -q -y \
    --no-install-recommends -o DPkg::Lock::Timeout=300 -- "$@"
}

# A package whose service we start ourselves, on our own port, must not start one of its own.
apt_install_without_service() {
  local unit="$1"
  if [ -d /run/systemd/system ]; then
    quietly "mask-$unit" systemctl mask "$unit.service" || true
  fi
  apt_install "$unit"
}

# The address this machine's own apt uses for Debian's packages; nothing of it is ever written down in the project.
# debian_uri main|security
debian_uri() {
  local label=Debian
  [ "$1" = security ] && label=Debian-Security
  # shellcheck disable=SC2016  # apt's own variables, not the shell's
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v label="$label" '$1 == label { print $2; exit }'
}

# from_trixie PACKAGE FILE TARGET : one program of a package of the newest Debian, which needs nothing but
# libc6 >= 2.34. The second list of sources lives in a folder of its own; the machine's apt stays as it is.
from_trixie() {
  local package="$1" file="$2" target="$3" uri work keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  has_apt || return 1
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
  quietly "$package-update" "${apt[@]}" update || return 1
  (cd "$work" && quietly "$package-download" "${apt[@]}" download "$package") || return 1
  quietly "$package-unpack" dpkg-deb -x "$work/$package"_*.deb "$work/package" || return 1
  mkdir -p "$(dirname "$target")"
  install -m 755 "$work/package/$file" "$target"
}

# One set-up at a time per checkout; a second one waits. The lock goes with the process.
one_at_a_time() {
  [ -z "${REPOLAUNCH_SETUP_LOCKED:-}" ] || return 0
  mkdir -p "$BUILD"
  exec 9>"$BUILD/setup.lock"
  if ! flock -n 9; then
    say "waiting for another set-up of this checkout"
    flock 9
  fi
  export REPOLAUNCH_SETUP_LOCKED=1
}

# with_node COMMAND... : with the Node.js of .venv first, when there is one there (node.sh).
with_node() { PATH="$VENV/bin:$PATH" "$@"; }

# npm_ci FOLDER : exactly the packages of its lock file. npm runs in the folder's own place, under the project's .npmrc.
npm_ci() {
  (
    cd "$1"
    NPM_CONFIG_AUDIT=false NPM_CONFIG_FUND=false NPM_CONFIG_UPDATE_NOTIFIER=false \
      quietly "npm-ci-$(basename "$1")" with_node npm ci
  )
}
