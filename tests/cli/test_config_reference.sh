#!/bin/bash
# docs/config.md is what `farandole help config` prints.
set -u
cd "$(dirname "$0")/../.." || exit 2
cli=${FAR_TEST_CLI:-build/farandole}
written=$(mktemp) || exit 2
trap 'rm -f "$written"' EXIT
"$cli" help config >"$written" || exit 1
if ! diff -u docs/config.md "$written"; then
    echo "docs/config.md is out of date: build/farandole help config > docs/config.md"
    exit 1
fi
