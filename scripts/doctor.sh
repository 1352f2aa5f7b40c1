# shellcheck shell=bash
# What an operator asks of what is up: commands of the worker's program, in the worker's environment.

command_doctor() {
  local option
  for option in "$@"; do
    case $option in --json | --at-rest) ;; *) mistake "doctor does not know '$option'." ;; esac
  done
  worker_command doctor "$@"
}

command_audit() { worker_command audit "$@"; }

# Not the worker's process, but its environment: it must see what that one sees, its clock as well.
worker_command() {
  [ -f "$STATE/env" ] || fail 'Pulse is not running. Start it with ./pulse up'
  if [ "$(setting MODE)" = compose ]; then
    compose exec -T worker dotnet Pulse.Worker.dll "$@"
    return
  fi
  local dll=$ROOT/src/Pulse.Worker/bin/Release/net10.0/$(program worker)
  [ -f "$dll" ] || build || fail 'The build failed.'
  env -C "$ROOT" DOTNET_ENVIRONMENT=Development DOTNET_NOLOGO=1 PULSE_CLOCK_FILE="$STATE/clock" PULSE_AUDIT_DIR="$STATE/audit" \
    PULSE_POSTGRES="$(running_value PULSE_POSTGRES)" PULSE_RABBITMQ="$(running_value PULSE_RABBITMQ)" dotnet "$dll" "$@"
}
