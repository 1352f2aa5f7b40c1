# shellcheck shell=bash
# What the other parts share: messages, the state directory, settings that outlive a run, ports and process ids.

STATE=${PULSE_STATE:-$ROOT/.pulse}
[ "${STATE#/}" != "$STATE" ] || STATE=$PWD/$STATE

# shellcheck disable=SC2034 # the parts use them
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' BLUE=$'\e[34m' MAGENTA=$'\e[35m' CYAN=$'\e[36m' DIM=$'\e[2m' PLAIN=$'\e[0m'
else
  RED='' GREEN='' YELLOW='' BLUE='' MAGENTA='' CYAN='' DIM='' PLAIN=''
fi

say() { printf '%s\n' "$*"; }
step() { printf '%s%s%s\n' "$DIM" "$*" "$PLAIN"; }

fail() {
  printf '%spulse: %s%s\n' "$RED" "$*" "$PLAIN" >&2
  exit 1
}

# One command at a time changes a state directory. Whatever is started closes descriptor 9, or it would hold the lock on.
lock_state() {
  if ! mkdir -p "$STATE/logs" "$STATE/pids" 2>/dev/null || ! touch "$STATE/lock" 2>/dev/null; then
    fail "$STATE can't be written to by $(id -un). PULSE_STATE names another directory."
  fi
  exec 9>"$STATE/lock"
  flock -n 9 && return 0
  step "Another ./pulse is at work on $STATE: waiting for it …"
  flock -w 300 9 || fail "Another ./pulse has been at work on $STATE for five minutes. Nothing was done."
}

unlock_state() { exec 9>&-; }

# Ports and passwords, kept from one start to the next, so that a restart and kept data go on working.
setting() { [ ! -f "$STATE/settings" ] || sed -n "s/^$1=//p" "$STATE/settings"; }

set_setting() {
  (
    umask 077
    { grep -v "^$1=" "$STATE/settings" 2>/dev/null || true; printf '%s=%s\n' "$1" "$2"; } >"$STATE/settings.new"
    mv "$STATE/settings.new" "$STATE/settings"
  )
}

# A value of .pulse/env, or nothing.
running_value() {
  [ -f "$STATE/env" ] || return 0
  # shellcheck source=/dev/null
  (unset "$1" && . "$STATE/env" && printf '%s' "${!1-}")
}

password() { od -An -N18 -tx1 /dev/urandom | tr -d ' \n'; }

ensure_password() { [ -n "$(setting "$1")" ] || set_setting "$1" "$(password)"; }

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the ports that the kernel gives to outgoing connections.
free_port() {
  local port attempt
  for attempt in {1..200}; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    port_answers "$port" && continue
    printf '%s' "$port"
    return 0
  done
  fail "No free port was found on 127.0.0.1 in $attempt attempts."
}

# The port of a server, unless that is running: the one in the variable, else the one of last time, else a free one.
choose_port() {
  local name=$1 setting=$2 variable=${3-} port
  ! runs "$name" || return 0
  if [ -n "$variable" ] && [ -n "${!variable-}" ]; then
    [[ ${!variable} =~ ^[a-z]+://([^@/]*@)?(127\.0\.0\.1|localhost):([0-9]+)(/|$) ]] ||
      fail "$variable is set, but has no port on this machine: what is started here listens on 127.0.0.1 only, as in …://127.0.0.1:PORT"
    port=${BASH_REMATCH[3]}
    ! port_answers "$port" || fail "$variable asks for port $port, but something else listens there already."
  else
    port=$(setting "$setting")
    if [ -z "$port" ] || port_answers "$port"; then port=$(free_port); fi
  fi
  set_setting "$setting" "$port"
}

# What tells a process of this state directory from another one that got the same process id since.
is_ours() {
  local name=$1 pid=$2
  case $name in
    postgres) grep -qzxF -- "$(postgres_home)/data" "/proc/$pid/cmdline" ;;
    rabbitmq) grep -qzxF -- "RABBITMQ_NODENAME=$(rabbitmq_node)" "/proc/$pid/environ" ;;
    epmd) grep -qzxF -- "$(setting EPMD_PORT)" "/proc/$pid/cmdline" ;;
    *) grep -qzxF -- "PULSE_STATE=$STATE" "/proc/$pid/environ" && grep -qzF -- "$(program "$name")" "/proc/$pid/cmdline" ;;
  esac 2>/dev/null
}

pid_file() {
  case $1 in
    epmd) printf '%s' "$STATE/epmd.pid" ;; # not one to signal: it goes with RabbitMQ
    *) printf '%s' "$STATE/pids/$1" ;;
  esac
}

# The process id, if the process lives. A dead one that nobody waited for has no command line, so it is not ours.
pid_of() {
  local pid
  pid=$(cat "$(pid_file "$1")" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] && is_ours "$1" "$pid" && printf '%s' "$pid"
}

runs() { pid_of "$1" >/dev/null; }

# Polls a condition: wait_until SECONDS command …
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

is_gone() { ! runs "$1"; }

stop_process() {
  local name=$1 signal=TERM pid
  pid=$(pid_of "$name") || return 0
  # To Postgres TERM means: when the last client has gone. INT is its quick clean stop.
  [ "$name" != postgres ] || signal=INT
  # More than once: RabbitMQ is deaf to the first one while it boots.
  for _ in {1..10}; do
    kill -s "$signal" "$pid" 2>/dev/null || true
    ! wait_until 3 is_gone "$name" || break
  done
  if ! is_gone "$name"; then
    say "${YELLOW}$name did not stop within 30 s: killed.${PLAIN}"
    kill -s KILL "$pid" 2>/dev/null || true
    wait_until 10 is_gone "$name" || fail "$name (process $pid) can't be stopped."
  fi
}

last_log_lines() {
  printf -- '--- the last lines of %s\n' "$STATE/logs/$1.log" >&2
  tail -n 25 "$STATE/logs/$1.log" >&2 || true
}

http_ok() { curl -fs --noproxy '*' --max-time 3 -o /dev/null "$@"; }

# Writes .pulse/env from what is set up so far, in one step: a reader sees the old one or the new one.
write_env() {
  local line
  (
    umask 077
    for line in "$@"; do printf '%s=%q\n' "${line%%=*}" "${line#*=}"; done >"$STATE/env.new"
    mv "$STATE/env.new" "$STATE/env"
  )
}
