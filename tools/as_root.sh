# Sourced by the set-up scripts: `as_root COMMAND` runs it as root, by sudo where that asks nothing.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    DEBIAN_FRONTEND=noninteractive "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n DEBIAN_FRONTEND=noninteractive "$@"
  else
    return 1
  fi
}
