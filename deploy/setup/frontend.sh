#!/usr/bin/env bash
# The pages' script and style: frontend/dist, built when something in frontend/ changed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder="$ROOT/frontend"
if [ ! -f "$folder/package-lock.json" ]; then exit 0; fi

packages="$(digest frontend/package.json frontend/package-lock.json)"
sources="$(cd "$folder" && find . ../launcher/web/catalogue \( -name node_modules -o -name dist \) -prune -o -type f -print0 | LC_ALL=C sort -z |
  xargs -0 sha256sum | sha256sum | cut -c1-32)"
have_packages="$folder/node_modules/.set-up"
have_build="$BUILD/frontend"
if done_with "$have_packages" "$packages" && done_with "$have_build" "$sources" && [ -d "$folder/dist" ]; then exit 0; fi

"$SETUP/node.sh"
if ! done_with "$have_packages" "$packages"; then
  say "installing the pages' packages (npm ci in frontend)"
  npm_ci "$folder"
  stamp "$have_packages" "$packages"
fi
say "building the pages (npm run build in frontend)"
(cd "$folder" && quietly frontend-build with_node npm run build)
stamp "$have_build" "$sources"
