#!/usr/bin/env bash
# Every check, then every test, whatever the checks said; fails when either did. Arguments go to pytest.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
started=$SECONDS
status=0
"$SETUP/lint.sh" || status=1
export PATH="$VENV/bin:$PATH"
.venv/bin/python -m pytest --durations=10 --durations-min=5 "$@" || status=1
printf 'tests: %s s in all\n' "$((SECONDS - started))"
exit "$status"
