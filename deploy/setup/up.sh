#!/usr/bin/env bash
# `repolaunch up` with what `make run` and `make serve` were given. Set-up must have been run.
# It becomes that program, so that Ctrl-C and signals reach it, once.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

arguments=("$@")
if [ -n "${PORT:-}" ]; then arguments+=("--port=$PORT"); fi
if [ -n "${DATA:-}" ]; then arguments+=("--data=$DATA"); fi
if [ -n "${REPO:-}" ]; then arguments+=("--launch=$REPO"); fi
if [ -n "${REF:-}" ]; then arguments+=("--ref=$REF"); fi
unset REPO REF PORT DATA MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES
# Node.js of .venv, where set-up had to put one there.
export PATH="$VENV/bin:$PATH"
exec "$VENV/bin/repolaunch" up "${arguments[@]}"
