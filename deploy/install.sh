#!/usr/bin/env bash
# Make the virtual environment with the locked dependencies. Called by make; safe to run again.
set -euo pipefail
root=$1
venv=$2

fail() { printf 'install: %s\n' "$1" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

python=$(find_python) || fail "Python 3.11 or newer is needed; install it, or say where it is: make up PYTHON=/path/to/python3"
if [ ! -x "$venv/bin/python" ]; then
  echo "1/3  making .venv with $("$python" --version)"
  "$python" -m venv "$venv" 2>/dev/null || {
    rm -rf "$venv"
    fail "this Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"
  }
fi
if [ ! -x "$venv/bin/uv" ]; then
  echo "2/3  installing uv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv || fail "pip could not install uv; is there a network or a package mirror?"
fi
echo "3/3  installing the locked dependencies"
quiet=(); [ -t 2 ] || quiet=(--quiet)
"$venv/bin/uv" pip install --system-certs "${quiet[@]}" --python "$venv/bin/python" --require-hashes -r "$root/requirements/dev.txt" \
  || fail "the locked dependencies could not be installed; the lines above say which"
"$venv/bin/uv" pip install --system-certs --quiet --python "$venv/bin/python" --no-deps --no-build-isolation -e "$root" \
  || fail "the project itself could not be installed into .venv; try make clean, then again"
