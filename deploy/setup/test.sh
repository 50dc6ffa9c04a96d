#!/usr/bin/env bash
# Every check, then every test, whatever the checks said; fails when a check did, or a test twice. Arguments go to pytest.
#
# Without arguments there are two lanes at one time: tests of the running service, which wait for most of their time,
# with those that need no parts; and the rest (what builds, fetches and stores by itself), whose output comes at the end.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
started=$SECONDS
status=0
"$SETUP/lint.sh" || status=1
export PATH="$VENV/bin:$PATH"

# lane NAME ARGUMENTS…: what failed remembered by lane, so that two at one time do not take it from one another
lane() {
  local name=$1 result=0
  shift
  .venv/bin/python -m pytest -o "cache_dir=.pytest_cache/$name" --durations=10 --durations-min=5 "$@" || result=$?
  if [ "$result" -eq 1 ]; then
    # Real parts on a busy machine: what failed is run once more, by itself, and said by name. What fails twice has failed.
    printf '\ntests: some failed; those are run once more, alone\n'
    result=0
    .venv/bin/python -m pytest -o "cache_dir=.pytest_cache/$name" --last-failed --last-failed-no-failures=none \
      -rA --no-header --tb=short "$@" || result=$?
    [ "$result" -eq 0 ] && printf 'tests: those named above failed the first time and passed alone: mend them\n'
  fi
  return "$result"
}

alone=()
for name in builders closure collect egress guix hub locked nix oci operate records registry repos store verify views volumes; do
  alone+=("tests/integration/test_$name"*.py)
done
for folder in tests/*/; do
  case "$folder" in tests/integration/ | tests/kills/ | tests/unit/ | tests/__pycache__/) ;; *) alone+=("$folder") ;; esac
done

if [ "$#" -gt 0 ]; then
  lane asked "$@" || status=1
else
  said=$(mktemp)
  lane others "${alone[@]}" >"$said" 2>&1 &
  others=$!
  # What ended already cannot be ended: under `set -e` that alone would make a good run a failed one.
  # Whoever is stopped in the middle still says what the other lane had said.
  trap 'kill "$others" 2>/dev/null || true; cat "$said"; rm -f "$said"' EXIT
  lane real tests/integration tests/unit tests/kills "${alone[@]/#/--ignore=}" || status=1
  wait "$others" || status=1
fi
printf 'tests: %s s in all\n' "$((SECONDS - started))"
exit "$status"
