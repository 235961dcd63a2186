#!/bin/sh
# Chromium for the tests of the pages: Debian's package, where it may be installed; elsewhere says what is left out.
set -eu
for name in "${EVALRUNNER_CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "setup: installing Debian's chromium, for the tests of the pages"
    log=$(mktemp)
    if apt-get update >"$log" 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y chromium >>"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    tail -n 3 "$log" >&2
    rm -f "$log"
fi
echo "setup: no chromium here, and none could be installed: the browser tests of the pages are left out"
