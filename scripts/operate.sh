# shellcheck shell=bash
# What an operator asks of what is up, or does about it: commands of the worker's program, in the worker's environment.

command_doctor() {
  local option
  for option in "$@"; do
    case $option in --json | --at-rest) ;; *) mistake "doctor does not know '$option'." ;; esac
  done
  of_running doctor "$@"
}

command_audit() { of_running audit "$@"; }

command_admin_key() { of_running admin-key "$@"; }

command_billing() {
  [ "${1-}" = reconcile ] || mistake "billing knows reconcile, not '${1-}'."
  local option
  for option in "${@:2}"; do
    case $option in --json | --dry-run) ;; *) mistake "billing reconcile does not know '$option'." ;; esac
  done
  of_running billing "$@"
}

# Over HTTP, with the operator's own key: exported, PULSE_INGRESS_URL and PULSE_ADMIN_KEY name any Pulse, and else it is the one that is up here.
command_dlq() {
  case ${1-help} in help | --help | -h) ;; *)
    local here
    here=$(running_value PULSE_INGRESS_URL)
    if [ -n "${PULSE_ADMIN_KEY-}" ] && [ -n "${PULSE_INGRESS_URL-}" ]; then
      :
    elif [ -n "${PULSE_INGRESS_URL-}" ] && [ "$PULSE_INGRESS_URL" != "$here" ]; then
      # The key of the one that is up here is none for another; and what is meant for another must not be done here.
      printf '%spulse: PULSE_INGRESS_URL names %s, but no PULSE_ADMIN_KEY is exported. Export its key, or unset PULSE_INGRESS_URL.%s\n' "$RED" "$PULSE_INGRESS_URL" "$PLAIN" >&2
      exit 2
    elif [ -n "$here" ]; then
      PULSE_INGRESS_URL=$here PULSE_ADMIN_KEY=${PULSE_ADMIN_KEY:-$(running_value PULSE_ADMIN_KEY)}
    else
      printf '%spulse: Pulse is not running here. Start it with ./pulse up, or export PULSE_INGRESS_URL and PULSE_ADMIN_KEY.%s\n' "$RED" "$PLAIN" >&2
      exit 3
    fi ;;
  esac
  local dll
  dll=$ROOT/src/Pulse.Worker/bin/Release/net10.0/$(program worker)
  if [ ! -f "$dll" ] && [ "$(setting MODE)" = compose ]; then
    compose exec -T -e PULSE_INGRESS_URL=http://ingress:8080 -e PULSE_ADMIN_KEY="${PULSE_ADMIN_KEY-}" worker dotnet Pulse.Worker.dll dlq "$@"
    return
  fi
  [ -f "$dll" ] || build || fail 'The build failed.'
  env -C "$ROOT" DOTNET_NOLOGO=1 PULSE_INGRESS_URL="${PULSE_INGRESS_URL-}" PULSE_ADMIN_KEY="${PULSE_ADMIN_KEY-}" dotnet "$dll" dlq "$@" </dev/null 9>&-
}

of_running() {
  [ -f "$STATE/env" ] || fail 'Pulse is not running. Start it with ./pulse up'
  worker_command "$@"
}

# Not the worker's process, but its environment: it must see what that one sees, its clock as well.
worker_command() {
  if [ "$(setting MODE)" = compose ]; then
    compose exec -T worker dotnet Pulse.Worker.dll "$@"
    return
  fi
  local dll given
  dll=$ROOT/src/Pulse.Worker/bin/Release/net10.0/$(program worker)
  [ -f "$dll" ] || build || fail 'The build failed.'
  mapfile -t given < <(worker_environment)
  env -C "$ROOT" DOTNET_ENVIRONMENT=Development DOTNET_NOLOGO=1 PULSE_CLOCK_FILE="$STATE/clock" PULSE_AUDIT_DIR="$STATE/audit" \
    "${given[@]}" dotnet "$dll" "$@" </dev/null 9>&-
}

# One key that may do everything and one for a service, kept with the data that they are in.
ensure_keys() {
  ensure_key ADMIN_KEY --name 'pulse up' --scopes \
    orgs:read,orgs:write,billing:read,billing:write,entitlements:read,audit:read,deadletters:read,deadletters:write,deadletters:reveal,keys:write
  ensure_key SERVICE_KEY --name 'pulse up, a service' --scopes entitlements:read
}

ensure_key() {
  local name=$1 key
  shift
  [ -z "$(setting "$name")" ] || return 0
  key=$(worker_command admin-key create "$@" 2>>"$STATE/logs/admin-key.log") || fail "No key could be made: $STATE/logs/admin-key.log"
  set_setting "$name" "$key"
}

key_values() { printf '%s\n' "PULSE_ADMIN_KEY=$(setting ADMIN_KEY)" "PULSE_SERVICE_KEY=$(setting SERVICE_KEY)"; }
