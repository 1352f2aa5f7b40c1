# shellcheck shell=bash
# The invariants of what is up, and what waits in outbox and queues: src/Pulse.Worker/Invariants.

command_doctor() {
  local option
  for option in "$@"; do
    case $option in --json | --at-rest) ;; *) mistake "doctor does not know '$option'." ;; esac
  done
  [ -f "$STATE/env" ] || fail 'Pulse is not running. Start it with ./pulse up'

  if [ "$(setting MODE)" = compose ]; then
    compose exec -T worker dotnet Pulse.Worker.dll doctor "$@"
    return
  fi
  local dll=$ROOT/src/Pulse.Worker/bin/Release/net10.0/$(program worker)
  [ -f "$dll" ] || build || fail 'The build failed.'
  # Not the worker's process, but its environment: the doctor must see what it sees, its clock as well.
  env -C "$ROOT" DOTNET_ENVIRONMENT=Development DOTNET_NOLOGO=1 PULSE_CLOCK_FILE="$STATE/clock" \
    PULSE_POSTGRES="$(running_value PULSE_POSTGRES)" PULSE_RABBITMQ="$(running_value PULSE_RABBITMQ)" dotnet "$dll" doctor "$@"
}
