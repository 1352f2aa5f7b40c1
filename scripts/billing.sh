# shellcheck shell=bash
# What an operator does about billing: src/Pulse.Worker/Billing.

command_billing() {
  [ "${1-}" = reconcile ] || mistake "billing knows reconcile, not '${1-}'."
  local option
  for option in "${@:2}"; do
    case $option in --json | --dry-run) ;; *) mistake "billing reconcile does not know '$option'." ;; esac
  done
  [ -f "$STATE/env" ] || fail 'Pulse is not running. Start it with ./pulse up'

  if [ "$(setting MODE)" = compose ]; then
    compose exec -T worker dotnet Pulse.Worker.dll billing "$@"
    return
  fi
  local dll=$ROOT/src/Pulse.Worker/bin/Release/net10.0/$(program worker)
  [ -f "$dll" ] || build || fail 'The build failed.'
  # Not the worker's process, but its environment: what it sees, its clock, its Stripe and its plans.
  env -C "$ROOT" DOTNET_ENVIRONMENT=Development DOTNET_NOLOGO=1 PULSE_CLOCK_FILE="$STATE/clock" \
    PULSE_POSTGRES="$(running_value PULSE_POSTGRES)" PULSE_RABBITMQ="$(running_value PULSE_RABBITMQ)" \
    PULSE_STRIPE_API_BASE="${PULSE_STRIPE_API_BASE:-$(program_url stripe)}" PULSE_STRIPE_API_KEY="$(stripe_key)" \
    PULSE_PLANS_FILE="${PULSE_PLANS_FILE:-$ROOT/deploy/plans.example.json}" dotnet "$dll" billing "$@"
}
