#!/usr/bin/env bash
# The programs for BinderHub that the tests drive against the running service: tests/clients, as its lock file has them.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder="$ROOT/tests/clients"
stamp_file="$folder/node_modules/.set-up"
key="$(digest tests/clients/package.json tests/clients/package-lock.json)"
if done_with "$stamp_file" "$key"; then exit 0; fi

"$SETUP/node.sh"
say "installing BinderHub's clients for the tests (npm ci in tests/clients)"
npm_ci "$folder"
stamp "$stamp_file" "$key"
