#!/bin/sh
# Runs the tests that depend on the LangSmith SDK with another version of it, in a virtual environment of its own.
# SDK: the version. TESTS: what to run; by default everything in which the SDK has a part (contracts, acceptance,
# the commands end to end). Not run: unit, browser and process tests, which see no more of the SDK than these do.
set -eu
cd "$(dirname "$0")/.."
[ -n "${SDK:-}" ] || {
    echo "test-sdk: say which version of langsmith: make test-sdk SDK=0.15.1" >&2
    exit 1
}
venv=.venv-sdk-$SDK
if ! [ "$("$venv/bin/python" -c 'import langsmith; print(langsmith.__version__)' 2>/dev/null)" = "$SDK" ]; then
    echo "test-sdk: making $venv (once; a minute or so)"
    rm -rf "$venv"
    .venv/bin/python -m venv "$venv"
    grep -v '^langsmith==' constraints.txt >"$venv/constraints.txt"
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet \
        --constraint "$venv/constraints.txt" "langsmith==$SDK" --editable '.[dev]'
fi
# shellcheck disable=SC2086 # several paths
exec "$venv/bin/python" -m pytest -n 2 --dist loadfile ${TESTS:-tests/contract tests/evalbackend/contract tests/evalbackend/acceptance tests/e2e}
