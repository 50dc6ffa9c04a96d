#!/usr/bin/env bash
# Prometheus and promtool, for the tests of deploy/monitoring: this machine's own, else Debian's, unpacked below build/ and not installed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if have prometheus && have promtool; then exit 0; fi
if [ -x "$BUILD/prometheus/prometheus" ] && [ -x "$BUILD/prometheus/promtool" ]; then exit 0; fi

missing="The tests need prometheus and promtool (and cannot get them here): install them, and run this again."
has_apt || die "$missing"
is_root && apt_update
say "getting prometheus (apt-get download)"
work="$(mktemp -d)"
# shellcheck disable=SC2064  # the folder of now
trap "rm -rf '$work'" EXIT
chmod 777 "$work" # apt's own user writes here
(cd "$work" && quietly prometheus-download apt-get -q download prometheus) || die "$missing"
quietly prometheus-unpack dpkg-deb -x "$work"/prometheus_*.deb "$work/package" || die "$missing"
mkdir -p "$BUILD/prometheus"
install -m 755 "$work/package/usr/bin/prometheus" "$work/package/usr/bin/promtool" "$BUILD/prometheus/"
