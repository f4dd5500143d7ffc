#!/usr/bin/env bash
# Makes .venv from the lock file, and installs the Debian packages that the lab can use where
# that is possible without asking anybody. FAILBACK_APT=0 leaves the Debian packages alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

python_at_least_3_11() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  say "there is no Python 3.11 or newer here; install one (Debian: apt-get install python3-venv)."
  return 1
}

find_uv() {
  if command -v uv >/dev/null; then
    command -v uv
    return
  fi
  if [[ ! -x .venv-tools/bin/uv ]]; then
    local python
    python=$(python_at_least_3_11)
    say "uv is not on PATH; putting one into .venv-tools"
    "$python" -m venv .venv-tools ||
      { say "python3 -m venv does not work here (Debian: apt-get install python3-venv)."; return 1; }
    .venv-tools/bin/python -m pip install --quiet 'uv>=0.7' >&2
  fi
  printf '%s\n' "$PWD/.venv-tools/bin/uv"
}

# Knot is the name server of the lab and, with kdig and knsupdate, an independent client in tests.
# Prometheus and Alertmanager are the lab's, and their tools check the rules that failback writes.
install_debian_parts() {
  local missing=() as_root=() services=()
  [[ -x /usr/sbin/knotd ]] || { missing+=(knot); services+=(knot); }
  command -v kdig >/dev/null && command -v knsupdate >/dev/null || missing+=(knot-dnsutils)
  command -v prometheus >/dev/null && command -v promtool >/dev/null ||
    { missing+=(prometheus); services+=(prometheus); }
  # Debian's name of the program, then its own.
  { command -v prometheus-alertmanager || command -v alertmanager; } >/dev/null &&
    command -v amtool >/dev/null ||
    { missing+=(prometheus-alertmanager); services+=(prometheus-alertmanager); }
  # Tests of backups by pgBackRest need a server that Debian's pgBackRest knows.
  [[ ! -x /usr/lib/postgresql/15/bin/postgres ]] || command -v pgbackrest >/dev/null ||
    missing+=(pgbackrest)
  (( ${#missing[@]} )) || return 0

  local without="without ${missing[*]} the lab does without what they do (names come from its own \
small server), and the tests that ask them are skipped."
  if [[ "${FAILBACK_APT:-1}" == 0 ]]; then
    say "FAILBACK_APT=0: $without"
    return 0
  fi
  if ! command -v apt-get >/dev/null; then
    say "no apt-get here: $without"
    return 0
  fi
  if (( EUID != 0 )); then
    if ! sudo -n true 2>/dev/null; then
      say "not root: $without (By hand: apt-get install ${missing[*]})"
      return 0
    fi
    as_root=(sudo -n)
  fi

  say "installing ${missing[*]} with apt-get"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq
    -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=60)
  if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null 2>&1; then
    "${apt[@]}" update </dev/null >/dev/null 2>&1 || true
    if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null 2>&1; then
      say "apt-get could not install them: $without"
      return 0
    fi
  fi
  # These packages start servers of their own on well-known ports, which nobody asked for.
  local service
  for service in "${services[@]}"; do
    "${as_root[@]}" systemctl disable --now "$service" >/dev/null 2>&1 ||
      "${as_root[@]}" service "$service" stop >/dev/null 2>&1 || true
  done
}

uv=$(find_uv)
say "making .venv from uv.lock"
"$uv" sync --frozen --all-extras --quiet
install_debian_parts
say "done"
