# shellcheck shell=dash
# shellcheck disable=SC2154  # given by the derivation
mkdir "$out"
cp "$setup" "$out/setup"
