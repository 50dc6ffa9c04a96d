#!/usr/bin/env bash
# Every check, then every test, whatever the checks said; fails when a check did, or a test twice. Arguments go to pytest.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
started=$SECONDS
status=0
"$SETUP/lint.sh" || status=1
export PATH="$VENV/bin:$PATH"
tests=0
.venv/bin/python -m pytest --durations=10 --durations-min=5 "$@" || tests=$?
if [ "$tests" -eq 1 ]; then
  # Real parts on a busy machine: what failed is run once more, by itself, and said by name. What fails twice has failed.
  printf '\ntests: some failed; those are run once more, alone\n'
  tests=0
  .venv/bin/python -m pytest --last-failed --last-failed-no-failures=none -rA --no-header --tb=short "$@" || tests=$?
  [ "$tests" -eq 0 ] && printf 'tests: those named above failed the first time and passed alone: mend them\n'
fi
[ "$tests" -eq 0 ] || status=1
printf 'tests: %s s in all\n' "$((SECONDS - started))"
exit "$status"
