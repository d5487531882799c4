#!/bin/sh
# Debian packages that vLLM needs beside its wheels: system.sh ROOT PACKAGE...
# A C compiler with headers: Triton and torch make their launchers with it when an engine loads.
set -eu
root=${1%/}
shift
apt-get update
apt-get install --yes --no-install-recommends "$@"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
