# shellcheck shell=bash
# What has to be on the machine, and how it gets there.

has_dotnet() { command -v dotnet >/dev/null && dotnet --list-sdks 2>/dev/null | grep '^10\.' >/dev/null; }

# One a line: what is missing of the programs named.
missing() {
  local what
  for what in "$@"; do
    case $what in
      dotnet) has_dotnet || say "$what" ;;
      postgres) postgres_bin >/dev/null || say "$what" ;;
      rabbitmq) rabbitmq_bin >/dev/null || say "$what" ;;
      # Where packages put it is not in everybody's PATH.
      nginx) command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || say "$what" ;;
      chromium) [ -n "${PULSE_CHROMIUM-}" ] || command -v chromium >/dev/null || say "$what" ;;
      *) command -v "$what" >/dev/null || say "$what" ;;
    esac
  done
}

how_to_install() {
  case $1 in
    dotnet) say '  .NET SDK 10            https://dotnet.microsoft.com/download (Debian, Ubuntu: apt-get install dotnet-sdk-10.0)' ;;
    postgres) say '  PostgreSQL 15 or later apt-get install postgresql   (its initdb in PATH or /usr/lib/postgresql/*/bin)' ;;
    rabbitmq) say '  RabbitMQ 3.10 or later apt-get install rabbitmq-server   (its rabbitmq-server in /usr/lib/rabbitmq/bin)' ;;
    flock | setsid) say "  $1                  apt-get install util-linux" ;;
    node) say '  Node.js 18 or later    apt-get install nodejs' ;;
    chromium) say '  Chromium               apt-get install chromium   (or PULSE_CHROMIUM names its program)' ;;
    *) say "  $1                   apt-get install $1" ;;
  esac
}

package() {
  case $1 in
    dotnet) printf 'dotnet-sdk-10.0' ;;
    postgres) printf 'postgresql' ;;
    rabbitmq) printf 'rabbitmq-server' ;;
    flock | setsid) printf 'util-linux' ;;
    node) printf 'nodejs' ;;
    *) printf '%s' "$1" ;;
  esac
}

docker_answers() { command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

# Sees to it that the programs named are there, and decides who runs the servers: this machine (MODE=native), or a Docker
# engine where the machine has no servers of its own (MODE=compose). Once a state has been begun one way it goes on that way.
ensure_installed() {
  local missing
  MODE=$(setting MODE)
  if [ "$MODE" = compose ]; then return 0; fi
  mapfile -t missing < <(missing "$@")
  if [ ${#missing[@]} -gt 0 ] && docker_answers && only_docker_can_give "${missing[@]}"; then
    MODE=compose
  else
    MODE=native
    [ ${#missing[@]} -eq 0 ] || install_or_tell "${missing[@]}"
  fi
  set_setting MODE "$MODE"
}

only_docker_can_give() {
  local what
  for what in "$@"; do
    case $what in postgres | rabbitmq | dotnet) ;; *) return 1 ;; esac
  done
}

install_or_tell() {
  local what still
  if [ "$(id -u)" -eq 0 ] && [ -f /etc/debian_version ] && command -v apt-get >/dev/null; then
    local packages=()
    for what in "$@"; do packages+=("$(package "$what")"); done
    step "Installing ${packages[*]} …"
    apt_install "${packages[@]}" || say "${RED}apt-get could not install ${packages[*]}:${PLAIN} see $STATE/logs/apt.log"
  fi
  mapfile -t still < <(missing "$@")
  [ ${#still[@]} -gt 0 ] || return 0
  {
    say 'Pulse needs these programs on this machine:'
    for what in "${still[@]}"; do how_to_install "$what"; done
    say 'With a running Docker engine and its compose plugin, Postgres, RabbitMQ and .NET come from docker-compose.yml instead.'
  } >&2
  exit 1
}

# Installs without starting anything: policy-rc.d forbids it while the packages are being set up, and a service that the
# package switched on for the next boot is switched off again.
apt_install() (
  policy=/usr/sbin/policy-rc.d
  kept=''
  # shellcheck disable=SC2317 # the trap calls it
  restore() { if [ -n "$kept" ]; then mv -f "$kept" "$policy"; else rm -f "$policy"; fi; }
  if [ -e "$policy" ]; then
    kept=$policy.pulse-kept
    mv "$policy" "$kept"
  fi
  trap restore EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install -y --no-install-recommends "$@"; } </dev/null >"$STATE/logs/apt.log" 2>&1 9>&- || return 1
  if [ -d /run/systemd/system ]; then
    for service in "$@"; do systemctl disable "$service.service" >/dev/null 2>&1 || true; done
  fi
)
