# shellcheck shell=dash
# shellcheck disable=SC2154  # given by the derivation
#
# Debian's CPython at a place of its own: it finds lib/pythonX.Y beside bin/, whatever was compiled into it.

only_functions=1
# shellcheck source-path=SCRIPTDIR source=debian.sh
. "$functions"

unpack
library="$out/lib/python$version"
# What Debian's packaging system brings, and what an environment of its own shall not know.
rm -rf "$library/sitecustomize.py" "$library/EXTERNALLY-MANAGED"
find "$out" -name __pycache__ -type d -prune -exec rm -rf {} +
drop_dead_links
# glibc opens this library when a thread ends early, and aborts when it does not find it.
needs="$needs $libgcc"
"$patchelf" --add-needed libgcc_s.so.1 "$out/bin/python$version"
relocate
ln -s "python$version" "$out/bin/python3"
# -B: what Python compiles for its own use meanwhile would have a time in it.
"$out/bin/python3" -B -I -S -m compileall -q --invalidation-mode unchecked-hash "$library"
