# shellcheck shell=bash
# The benchmarks of bench/Pulse.Bench, on private servers of their own.

# A benchmark is a file: MessagingBenchmark.cs is `messaging`.
benchmarks() {
  local file
  for file in "$ROOT"/bench/Pulse.Bench/?*Benchmark.cs; do
    file=$(basename "$file" Benchmark.cs)
    printf '%s\n' "${file,,}"
  done
}

command_bench() {
  local argument was_running=false outcome=0 missing
  for argument in "$@"; do
    case $argument in
      --*) ;;
      *[!0-9]*)
        if ! benchmarks | grep -xF -- "$argument" >/dev/null; then
          printf "pulse: '%s' is no benchmark. There are: %s.\n" "$argument" "$(benchmarks | paste -sd ' ')" >&2
          exit 2
        fi ;;
    esac
  done

  # The servers of the benchmarks are their own, whatever runs beside them: they are emptied and filled.
  unset PULSE_POSTGRES PULSE_POSTGRES_INGRESS PULSE_POSTGRES_ADMIN PULSE_RABBITMQ PULSE_RABBITMQ_MANAGEMENT \
    PULSE_INGRESS_URL PULSE_WORKER_URL PULSE_STRIPE_URL PULSE_STRIPE_API_BASE PULSE_STRIPE_API_KEY PULSE_STRIPE_WEBHOOK_SECRET PULSE_PLANS_FILE PULSE_AUTHZ_KEY
  STATE=$ROOT/.pulse/bench
  export PULSE_STATE=$STATE PULSE_ROOT=$ROOT
  # What is printed to the output are results only: --json may be read by a program.
  {
    lock_state
    mapfile -t missing < <(missing dotnet wrk)
    [ ${#missing[@]} -eq 0 ] || install_or_tell "${missing[@]}"
    unlock_state
    build || fail 'The build failed: nothing was measured.'
    [ ! -f "$STATE/env" ] || ! any_lives "${NAMES[@]}" || was_running=true
    # shellcheck disable=SC2064 # as decided now
    trap "end_bench $was_running" EXIT
    trap 'exit 130' INT TERM
    "$ROOT/pulse" servers up
  } >&2
  [ "$(setting MODE)" != compose ] || fail 'The benchmarks read what processes cost from this machine: they need Postgres and RabbitMQ on it, not in Docker.'

  dotnet "$ROOT/bench/Pulse.Bench/bin/Release/net10.0/Pulse.Bench.dll" "$@" || outcome=$?

  trap - EXIT INT TERM
  end_bench "$was_running"
  return "$outcome"
}

end_bench() {
  if $1; then
    step 'The servers of the benchmarks were running before, and run on.' >&2
  else
    step 'Stopping the servers …' >&2
    "$ROOT/pulse" down >/dev/null || true
  fi
}
