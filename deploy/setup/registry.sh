#!/usr/bin/env bash
# A registry program (`docker-registry serve`): Debian's, as root. Elsewhere the service runs the image registry:2.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if have docker-registry || ! can_install; then exit 0; fi
apt_update
# Not in every distribution that has apt.
if ! apt-cache show docker-registry >/dev/null 2>&1; then exit 0; fi
apt_install_without_service docker-registry
