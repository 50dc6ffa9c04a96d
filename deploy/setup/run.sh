#!/usr/bin/env bash
# Everything the service needs: deploy/setup/run.sh. Everything its tests need: deploy/setup/run.sh --test. With --quick all
# but what only Nix and Guix environments need, which takes minutes.
# Safe to run again; says nothing where nothing is to do.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

requirements=runtime
if [ "${1:-}" = --test ]; then requirements=dev; fi

one_at_a_time
"$SETUP/python.sh" "$requirements"
"$SETUP/programs.sh"
"$SETUP/proxy.sh"
"$SETUP/engine.sh"
"$SETUP/filter.sh"
"$SETUP/buildx.sh"
"$SETUP/base.sh"
"$SETUP/build_engine.sh"
"$SETUP/locked.sh"
"$SETUP/nix.sh"
"$SETUP/registry.sh"
"$SETUP/restic.sh"
"$SETUP/frontend.sh"
if [ "${1:-}" != --quick ]; then "$SETUP/closure.sh"; fi
if [ "$requirements" = dev ]; then
  "$SETUP/tests.sh"
  "$SETUP/clients.sh"
  "$SETUP/prometheus.sh"
  "$SETUP/guix.sh"
  "$SETUP/compose.sh"
fi
