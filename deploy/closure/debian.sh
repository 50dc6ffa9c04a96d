# shellcheck shell=dash
# Variables that the derivation gives, and the name of its output:
# shellcheck disable=SC2154
#
# Unpacks $packages into $out, without usr/ and without the folder of the architecture, and makes the programs and
# libraries find each other: those of $needs by their paths, glibc's linker by its own. Read by busybox's sh.

unpack() {
  for package in $packages; do
    dpkg-deb -x "$package" unpacked
  done
  for from in lib usr/lib; do
    # /lib64 and /lib are links into /usr in Debian's own tree; a package brings only the real folders.
    if [ -d "unpacked/$from/$multiarch" ]; then
      mkdir -p "$out/lib"
      cp -a "unpacked/$from/$multiarch/." "$out/lib/"
      rm -rf "unpacked/${from:?}/$multiarch"
    fi
    if [ -d "unpacked/$from" ]; then
      mkdir -p "$out/lib"
      cp -a "unpacked/$from/." "$out/lib/"
    fi
  done
  for from in bin usr/bin; do
    if [ -d "unpacked/$from" ]; then
      mkdir -p "$out/bin"
      cp -a "unpacked/$from/." "$out/bin/"
    fi
  done
  # Character sets that nobody converts to, 8 MB.
  rm -rf unpacked "$out/lib/gconv"
}

is_elf() { [ "$(head -c 4 "$1" | od -An -tx1 | tr -d ' \n')" = 7f454c46 ]; }

relocate() {
  [ -n "$patchelf" ] || return 0
  found="$out/lib"
  for need in $glibc $needs; do found="$found:$need/lib"; done
  find "$out" -type f | sort >files
  while read -r file; do
    if ! is_elf "$file"; then continue; fi
    chmod u+w "$file"
    "$patchelf" --add-rpath "$found" "$file"
    "$patchelf" --shrink-rpath "$file"
    if "$patchelf" --print-interpreter "$file" >/dev/null 2>&1; then
      "$patchelf" --set-interpreter "$glibc/lib/$loader" "$file"
    fi
  done <files
}

# Links that led out of the package lead nowhere here.
drop_dead_links() {
  find "$out" -type l | while read -r link; do
    if [ ! -e "$link" ]; then rm "$link"; fi
  done
}

if [ -z "${only_functions:-}" ]; then
  unpack
  drop_dead_links
  relocate
fi
