#!/usr/bin/env bash
# configurable-http-proxy, as deploy/proxy/package-lock.json has it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder="$ROOT/deploy/proxy"
stamp_file="$folder/node_modules/.set-up"
key="$(digest deploy/proxy/package.json deploy/proxy/package-lock.json)"
if done_with "$stamp_file" "$key"; then exit 0; fi

"$SETUP/node.sh"
say "installing the proxy (npm ci in deploy/proxy)"
npm_ci "$folder"
stamp "$stamp_file" "$key"
