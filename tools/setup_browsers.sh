#!/usr/bin/env bash
# A Chromium and a Firefox for the tests: what the machine has, else Debian's by apt, else Playwright's own.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/as_root.sh

die() { printf '\nmake setup: %s\n' "$1" >&2; shift; printf '  Next: %s\n' "$@" >&2; exit 1; }

# browsers.py prints the path of a browser that starts; 3 means there is none, anything else a bug.
find_browser() {
  local rc=0
  .venv/bin/python tools/browsers.py "$1" || rc=$?
  [ "$rc" = 0 ] || [ "$rc" = 3 ] || die "tools/browsers.py failed (above)." "mend that, then: make setup"
  return "$rc"
}

missing=()
find_browser chromium >/dev/null || missing+=(chromium)
find_browser firefox >/dev/null || missing+=(firefox-esr)

if [ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null; then
  echo "make setup: installing ${missing[*]} by apt"
  if as_root apt-get update -qq && as_root apt-get install -qqy --no-install-recommends "${missing[@]}"; then :; else
    echo "make setup: apt could not install ${missing[*]} (no root, or not in this distribution)"
  fi
fi

for name in chromium firefox; do
  if ! find_browser "$name" >/dev/null; then
    echo "make setup: installing Playwright's own $name"
    deps=(); [ "$(id -u)" != 0 ] || deps=(--with-deps)
    .venv/bin/python -m playwright install "${deps[@]}" "$name" || true
    find_browser "$name" >/dev/null || die "no $name could be installed, by apt or by Playwright." \
      "as root: apt-get install chromium firefox-esr" \
      "or name one that you have: FANLIGHT_CHROMIUM=/path/to/chromium FANLIGHT_FIREFOX=/path/to/firefox make setup"
  fi
  echo "make setup: $name is $(find_browser "$name")"
done
