#!/usr/bin/env bash
# Every check that needs nothing to run: all of them are made, then it says how many failed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
failed=()
started=$SECONDS

# check NAME COMMAND... : silent when it is well.
check() {
  local name="$1" out
  shift
  if ! out="$("$@" 2>&1)"; then
    printf '%s\n' "$out"
    say "$name: not well"
    failed+=("$name")
  fi
}

scripts() { find deploy .ci -path '*/node_modules' -prune -o -type f -print0 | xargs -0 grep -lE '^#!.*bash|^# shellcheck shell=bash'; }

all_scripts() { scripts | xargs -d '\n' shellcheck --external-sources --source-path=SCRIPTDIR; }

check 'ruff check' .venv/bin/ruff check --quiet .
check 'ruff format' .venv/bin/ruff format --check --quiet .
check mypy .venv/bin/mypy
check 'lint-imports' .venv/bin/lint-imports --no-logo
check shellcheck all_scripts
if [ -f frontend/package-lock.json ]; then check 'frontend' with_node npm --prefix frontend run --silent check; fi

if ((${#failed[@]} > 0)); then
  printf 'checks: %s failed in %s s: %s\n' "${#failed[@]}" "$((SECONDS - started))" "${failed[*]}"
  exit 1
fi
printf 'checks: all well in %s s\n' "$((SECONDS - started))"
