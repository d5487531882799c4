#!/bin/sh
# The user an image runs as, and the folders that are its own: account.sh ROOT
# A number without a name would do for Kubernetes, but torch asks for the name of whoever runs it.
set -eu
root=${1%/}
grep -qs '^arena:' "$root/etc/group" || echo 'arena:x:10001:' >>"$root/etc/group"
grep -qs '^arena:' "$root/etc/passwd" ||
    echo 'arena:x:10001:10001:LLM Arena:/var/lib/llm-arena:/usr/sbin/nologin' >>"$root/etc/passwd"
for folder in "$root/var/lib/llm-arena" "$root/opt/models"; do
    mkdir -p "$folder"
    chown 10001:10001 "$folder"
    chmod 0750 "$folder"
done
