#!/usr/bin/env bash
# Writes requirements/*.lock anew from requirements/*.in: the newest versions that fit, with hashes, for Linux and every
# Python from 3.11 (singleuser, closure and bare: the 3.13 of Debian trixie). The index is the one of this machine's pip.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tool="$(mktemp -d)"
trap 'rm -rf "$tool"' EXIT
one_at_a_time
"$SETUP/python.sh" runtime
say "getting uv"
quietly lock-tool "$VENV/bin/python" -m venv "$tool"
quietly lock-tool "$tool/bin/pip" install uv
index="$("$VENV/bin/python" -m pip config get global.index-url 2>/dev/null || true)"
if [ -n "${PIP_INDEX_URL:-$index}" ]; then export UV_DEFAULT_INDEX="${PIP_INDEX_URL:-$index}"; fi

cd "$ROOT/requirements"
for name in runtime dev singleuser closure node bare; do
  say "locking $name"
  python=3.11
  upgrade=(--upgrade)
  case "$name" in singleuser | closure | bare) python=3.13 ;; esac
  # What runs and what is tested are the same versions.
  if [ "$name" = dev ]; then upgrade+=(--constraints runtime.lock); fi
  quietly "lock-$name" "$tool/bin/uv" pip compile --universal --generate-hashes --no-emit-index-url --no-header \
    --no-annotate "${upgrade[@]}" --python-version "$python" --output-file "$name.lock" "$name.in"
done
# All of it is for Linux (pyproject.toml says so), so a marker on every line says nothing.
sed -i "s/ ; sys_platform == 'linux'//; s/ and sys_platform == 'linux'//" ./*.lock
if grep -nE '://|^--|^-[if] ' ./*.lock; then die "a lock file names an address"; fi
mv bare.lock "$ROOT/builders/repo2docker/locked/bare_lock/requirements.txt"
