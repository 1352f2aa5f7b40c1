# shellcheck shell=bash
# Keys of operators and of the platform's own services: src/Pulse.Worker/Keys.

command_admin_key() {
  [ -f "$STATE/env" ] || fail 'Pulse is not running. Start it with ./pulse up'
  admin_key "$@"
}

# Not the worker's process, but its environment: it connects as the owner, and its clock decides what has expired.
admin_key() {
  if [ "$(setting MODE)" = compose ]; then
    compose exec -T worker dotnet Pulse.Worker.dll admin-key "$@"
    return
  fi
  local dll=$ROOT/src/Pulse.Worker/bin/Release/net10.0/$(program worker)
  [ -f "$dll" ] || build || fail 'The build failed.'
  env -C "$ROOT" DOTNET_ENVIRONMENT=Development DOTNET_NOLOGO=1 PULSE_CLOCK_FILE="$STATE/clock" \
    PULSE_POSTGRES="$(postgres_uri pulse_worker WORKER_PASSWORD pulse)" dotnet "$dll" admin-key "$@" </dev/null 9>&-
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
  key=$(admin_key create "$@" 2>>"$STATE/logs/admin-key.log") || fail "No key could be made: $STATE/logs/admin-key.log"
  set_setting "$name" "$key"
}

key_values() { printf '%s\n' "PULSE_ADMIN_KEY=$(setting ADMIN_KEY)" "PULSE_SERVICE_KEY=$(setting SERVICE_KEY)"; }
