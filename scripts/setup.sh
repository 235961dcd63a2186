#!/bin/sh
# Makes .venv with evalrunner (editable) and its tools, in the versions of constraints.txt.
# Does nothing if .venv works and neither pyproject.toml, constraints.txt nor the interpreter has changed.
set -eu
cd "$(dirname "$0")/.."
venv=.venv
stamp=$venv/setup.stamp
log=$venv/setup.log

fail() {
    echo "setup: $*" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        new_enough "$PYTHON" || fail "PYTHON=$PYTHON is not a working Python 3.10 or newer"
        echo "$PYTHON"
        return
    fi
    for name in python3 python3.13 python3.12 python3.11 python3.10 python; do
        if command -v "$name" >/dev/null 2>&1 && new_enough "$name"; then
            echo "$name"
            return
        fi
    done
    fail "evalrunner needs Python 3.10 or newer, and $(python3 --version 2>&1 || true) is what python3 gives;" \
        "name a newer one: make PYTHON=/path/to/python3.12 ..."
}

wanted() {
    "$python" -c 'import sys; print(sys.base_prefix, sys.version)'
    cksum pyproject.toml constraints.txt
}

works() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] &&
        "$venv/bin/python" - 2>/dev/null <<'CHECK'
import pathlib, sys
import evalrunner, langsmith, mypy, pytest
home = pathlib.Path(evalrunner.__file__).resolve()
sys.exit(pathlib.Path("src").resolve() not in home.parents)
CHECK
}

install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-compile \
        --constraint constraints.txt --editable '.[dev]' >"$log" 2>&1 && return
    grep -v '^WARNING: ' "$log" | tail -n 20 >&2
    fail "pip could not install evalrunner and its tools; its whole output is in $log"
}

# What pip would do on one core. Some libraries have files of other versions of Python in them.
precompile() {
    "$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >>"$log" 2>&1 || true
}

python=$(find_python)
works && exit 0
echo "setup: making $venv with $("$python" --version) (once; a minute or so)"
rm -rf "$venv"
"$python" -m venv "$venv" >/dev/null 2>&1 ||
    fail "$python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"
install
precompile
wanted >"$stamp"
