# shellcheck shell=bash
# Every test on real servers. The last line is `N passed, N failed`.

command_test() {
  local passed=0 failed=0 skipped=0 results missing
  # The servers of the tests are their own, whatever runs beside them.
  unset PULSE_POSTGRES PULSE_POSTGRES_INGRESS PULSE_POSTGRES_ADMIN PULSE_RABBITMQ PULSE_RABBITMQ_MANAGEMENT \
    PULSE_INGRESS_URL PULSE_WORKER_URL PULSE_STRIPE_URL PULSE_STRIPE_API_BASE PULSE_STRIPE_API_KEY PULSE_STRIPE_WEBHOOK_SECRET PULSE_PLANS_FILE PULSE_AUTHZ_KEY
  local table=''
  if [ "${1-}" = --nemesis ]; then
    [[ ${2-} =~ ^[1-9][0-9]{2,5}$ ]] || mistake 'test --nemesis takes a number of signups, 100 or more.'
    table=$ROOT/.pulse/nemesis/table.md
    mkdir -p "${table%/*}"
    rm -f "$table"
    export PULSE_NEMESIS_SIGNUPS=$2 PULSE_NEMESIS_TABLE=$table
    shift 2
    set -- Every_acknowledged_signup_ends_once_whatever_is_killed "$@"
  fi
  STATE=$ROOT/.pulse/test
  export PULSE_STATE=$STATE PULSE_TEST_STATE=$STATE
  if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then set -- --filter "FullyQualifiedName~$1" "${@:2}"; fi

  lock_state
  # node and npm: Stripe's own package judges signatures. nginx: deploy/nginx is tried with it. chromium: the console is tested as
  # operators see it.
  mapfile -t missing < <(missing dotnet node npm nginx chromium)
  [ ${#missing[@]} -eq 0 ] || install_or_tell "${missing[@]}"
  unlock_state
  results=$(mktemp -d)
  # shellcheck disable=SC2064 # this run's directory
  trap "clean_up_tests '$results'" EXIT
  trap 'exit 130' INT TERM

  if build; then
    step 'Checking the format …'
    check_format || failed=$((failed + 1))
    "$ROOT/pulse" servers up
    run_tests "$results" "$@"
  else
    say "${RED}The build failed.${PLAIN}"
    failed=$((failed + 1))
  fi

  trap - EXIT INT TERM
  clean_up_tests "$results"
  [ ! -f "$table" ] || cat "$table"
  local summary="$passed passed, $failed failed"
  [ "$skipped" -eq 0 ] || summary+=", $skipped skipped"
  if [ $((passed + failed)) -eq 0 ]; then say "${RED}No test ran.${PLAIN}"; fi
  say "$summary"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

clean_up_tests() {
  step 'Stopping the servers …'
  "$ROOT/pulse" servers down >/dev/null || true
  rm -rf -- "$1"
}

check_format() {
  (cd "$ROOT" && dotnet format Pulse.sln --verify-no-changes --no-restore -v q </dev/null) >"$STATE/logs/format.log" 2>&1 && return 0
  grep -E ': (error|warning) ?[A-Za-z0-9]*:' "$STATE/logs/format.log" | sort -u | head -n 40 || tail -n 40 "$STATE/logs/format.log"
  say "${RED}The format differs:${PLAIN} dotnet format Pulse.sln puts it right."
  return 1
}

# Adds to passed, failed and skipped of its caller.
run_tests() {
  local results=$1 outcome=0 project trx line total
  shift
  # One project after the other, each with results of its own: two at a time may take the same file name.
  for project in $(cd "$ROOT" && grep -l 'Microsoft.NET.Test.Sdk' tests/*/*.csproj); do
    step "Testing $(basename "$project" .csproj) …"
    (
      # shellcheck source=/dev/null
      set -a && . "$STATE/env" && set +a
      cd "$ROOT"
      dotnet test "$project" -c Release --no-build --nologo --results-directory "$results/$(basename "$project")" \
        --logger 'console;verbosity=minimal' --logger trx "$@" </dev/null
    ) || outcome=$?
  done

  for trx in "$results"/*/*.trx; do
    [ -f "$trx" ] || continue
    line=$(grep -m 1 -o '<Counters [^>]*>' "$trx") || continue
    total=$(counter total "$line")
    passed=$((passed + $(counter passed "$line")))
    failed=$((failed + $(counter failed "$line")))
    skipped=$((skipped + total - $(counter passed "$line") - $(counter failed "$line")))
  done

  failed_tests "$results"
  if [ "$outcome" -ne 0 ] && ! grep -q 'outcome="Failed"' "$results"/*/*.trx 2>/dev/null; then
    say "${RED}dotnet test ended with $outcome although no test failed:${PLAIN} a test process crashed, or an option is wrong."
    failed=$((failed + 1))
  fi
}

counter() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$2"; }

failed_tests() {
  local names
  names=$(grep -h '<UnitTestResult ' "$1"/*/*.trx 2>/dev/null | grep 'outcome="Failed"' | sed -n 's/.* testName="\([^"]*\)".*/  ✗ \1/p') || true
  [ -z "$names" ] || printf '%sFailed:%s\n%s\n' "$RED" "$PLAIN" "$names"
}
