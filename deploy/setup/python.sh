#!/usr/bin/env bash
# .venv with the exact packages of requirements/runtime.lock (or dev.lock), and the project itself.
# python.sh runtime|dev; PYTHON names an interpreter other than the first that fits.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

wanted="${1:?runtime or dev}"
stamps="$VENV/.set-up"

new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
    if have "$candidate" && new_enough "$candidate"; then
      printf '%s' "$candidate"
      return
    fi
  done
}

can_make_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

make_venv() {
  local python
  python="$(find_python)"
  if [ -z "$python" ] || ! can_make_venv "$python"; then
    can_install || die "Python 3.11 or newer with its venv module is missing: install python3 and python3-venv, and run this again."
    apt_install python3 python3-venv
    python="$(find_python)"
    [ -n "$python" ] || die "Python 3.11 or newer is missing and this system's own is older: install it, and run this again."
  fi
  can_make_venv "$python" || die "$python cannot make virtual environments: install its venv module (python3-venv), and run this again."
  say "making .venv with $("$python" -V)"
  rm -rf "$VENV"
  quietly venv "$python" -m venv "$VENV"
  stamp "$stamps/place" "$ROOT"
}

# A virtual environment holds absolute paths: one that was copied or moved with the checkout is made anew.
if ! done_with "$stamps/place" "$ROOT" || ! new_enough "$VENV/bin/python"; then make_venv; fi

runtime="$(digest "requirements/runtime.lock")"
dev="$(digest "requirements/dev.lock")"
have_now="$(cat "$stamps/packages" 2>/dev/null || true)"
# dev.lock holds everything of runtime.lock in the same versions, so it does for both.
if [ "$have_now" != "dev $dev $runtime" ] && { [ "$wanted" = dev ] || [ "$have_now" != "runtime $runtime" ]; }; then
  say "installing requirements/$wanted.lock"
  quietly "pip-$wanted" "$VENV/bin/python" -m pip install --require-hashes -r "$ROOT/requirements/$wanted.lock"
  if [ "$wanted" = dev ]; then stamp "$stamps/packages" "dev $dev $runtime"; else stamp "$stamps/packages" "runtime $runtime"; fi
fi

project="$(digest "pyproject.toml")"
if ! done_with "$stamps/project" "$project"; then
  say "installing the project into .venv (editable)"
  quietly pip-project "$VENV/bin/python" -m pip install --no-build-isolation --no-deps -e "$ROOT"
  stamp "$stamps/project" "$project"
fi
