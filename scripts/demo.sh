# shellcheck shell=bash
# The whole journey, driven over HTTP by demo/Pulse.Demo.

command_demo() {
  local keep=false was_running=false outcome=0
  case ${1-} in
    --keep) keep=true; shift ;;
  esac
  [ $# -eq 0 ] || mistake "demo does not know '$1'."

  export PULSE_STATE=$STATE
  [ ! -f "$STATE/env" ] || ! any_lives worker ingress || was_running=true
  # shellcheck disable=SC2064 # as decided now
  trap "end_demo $keep $was_running" EXIT
  trap 'exit 130' INT TERM
  "$ROOT/pulse" up --detach

  if [ "$(setting MODE)" = compose ]; then
    # The images hold the two processes only.
    has_dotnet || { how_to_install dotnet >&2; fail 'The demo itself needs the .NET SDK on this machine.'; }
    dotnet build "$ROOT/demo/Pulse.Demo" -c Release -v q --nologo </dev/null
    PULSE_COMPOSE_PROJECT=$(compose_project)
    export PULSE_COMPOSE_PROJECT
  fi
  (
    # shellcheck source=/dev/null
    set -a && . "$STATE/env" && set +a
    export PULSE_ROOT=$ROOT
    dotnet "$ROOT/demo/Pulse.Demo/bin/Release/net10.0/Pulse.Demo.dll"
  ) || outcome=$?

  trap - EXIT INT TERM
  end_demo "$keep" "$was_running"
  return "$outcome"
}

end_demo() {
  local keep=$1 was_running=$2
  if $was_running; then
    step 'Pulse was running before the demo, and runs on.'
  elif $keep && [ -f "$STATE/env" ]; then
    say 'Left running, as asked. Stop it with ./pulse down'
  else
    step 'Stopping …'
    "$ROOT/pulse" down
  fi
}
