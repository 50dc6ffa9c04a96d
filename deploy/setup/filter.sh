#!/usr/bin/env bash
# nftables, by which sessions are kept from private networks. Where it cannot be installed, iptables will do: the engine
# brings it; `repolaunch up` says so where neither can be used.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if have nft; then exit 0; fi
if can_install; then apt_install nftables; fi
