#!/usr/bin/env bash
# What fetches repositories: git and curl.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

missing=()
if ! have git; then missing+=(git); fi
if ! have curl; then missing+=(curl); fi
if ((${#missing[@]} == 0)); then exit 0; fi
can_install || die "${missing[*]} is needed (and cannot be installed here): install it, and run this again."
apt_install "${missing[@]}"
