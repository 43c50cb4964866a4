#!/usr/bin/env bash
# Prints the first interpreter that is Python 3.11 or later and can make virtual environments.
# Arguments, if any, are tried first; one that cannot be used is named on the standard error stream.
# A name on PATH may still not run (pyenv's shims), so each is run.
set -u

usable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || return 1
    "$1" -c 'import venv, ensurepip' >/dev/null 2>&1 && return 0
    without_venv="$1"
    return 1
}

without_venv=""
for name in "$@"; do
    usable "$name" && command -v "$name" && exit 0
    echo "$name cannot be used here (not found, older than 3.11, or without venv): trying others" >&2
done
for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
    usable "$name" && command -v "$name" && exit 0
done

if [ -n "$without_venv" ]; then
    echo "$without_venv cannot make virtual environments: the module ensurepip is missing." >&2
    echo "On Debian and Ubuntu the package python3-venv has it: apt-get install python3-venv" >&2
else
    echo "No Python 3.11 or later was found. Install one, or name it: make PYTHON=/path/to/python3 ..." >&2
fi
exit 1
