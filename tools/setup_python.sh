#!/usr/bin/env bash
# .venv with fanlight (editable) and everything its tests need, at the versions of constraints.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf '\nmake setup: %s\n' "$1" >&2; shift; printf '  Next: %s\n' "$@" >&2; exit 1; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=""
for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
  if command -v "$candidate" >/dev/null && new_enough "$candidate"; then python=$candidate; break; fi
done
[ -n "$python" ] || die "Python 3.11 or newer was not found." \
  "install it (Debian: apt-get install python3 python3-venv), or name one: make setup PYTHON=/path/to/python3"

# Debian splits ensurepip off into python3-venv; without it `python3 -m venv` fails half way.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  echo "make setup: $python has no ensurepip; installing $package by apt"
  if command -v apt-get >/dev/null && . tools/as_root.sh && as_root apt-get update -qq \
     && as_root apt-get install -qqy --no-install-recommends "$package"; then :; else
    die "$python cannot make virtual environments (no ensurepip), and apt could not install $package." \
      "as root: apt-get install $package      (then: make setup)"
  fi
fi

if [ -x .venv/bin/python ] && ! new_enough .venv/bin/python; then
  die ".venv holds an older Python ($(.venv/bin/python --version 2>&1))." "rm -rf .venv, then: make setup"
fi
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  echo "make setup: creating .venv with $("$python" --version 2>&1)"
  rm -rf .venv
  "$python" -m venv .venv || die "$python -m venv .venv failed (above)." \
    "free disk space or install the venv module, then: make setup"
fi

echo "make setup: installing Python packages (constraints.txt)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  -e '.[dev]' -c constraints.txt \
  || die "pip could not install the packages of pyproject.toml (above)." \
    "check the network or the proxy and index settings of pip, then: make setup"
