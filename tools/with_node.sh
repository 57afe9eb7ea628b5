#!/usr/bin/env bash
# Runs a command with Node.js 20 or newer first on PATH: the machine's own, else the one in .venv.
set -euo pipefail
cd "$(dirname "$0")/.."
node_is_enough() { node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; }
if ! node_is_enough; then PATH="$PWD/.venv/bin:$PATH"; export PATH; fi
if ! node_is_enough || ! command -v npm >/dev/null; then
  [ "${1:-}" != "--probe" ] || exit 1
  echo "Node.js 20 or newer (with npm) was not found.  Next: make setup" >&2
  exit 1
fi
[ "${1:-}" != "--probe" ] || exit 0
exec "$@"
