# shellcheck shell=bash
# As small a stand-in for nixpkgs' setup script as `nix print-dev-env` works with: packages come onto PATH.
for input in ${buildInputs:-}; do
  if [ -d "$input/bin" ]; then PATH="$input/bin${PATH:+:}$PATH"; fi
done
unset input
export PATH
