# shellcheck shell=bash
# Worker, ingress and the double of Stripe: built in Release, started from what was built.

program() {
  case $1 in
    worker) printf 'Pulse.Worker.dll' ;;
    ingress) printf 'Pulse.Ingress.dll' ;;
    stripe) printf 'Pulse.StripeDouble.dll' ;;
  esac
}

program_url() {
  case $1 in
    stripe) printf 'http://127.0.0.1:%s' "$(setting STRIPE_PORT)" ;;
    worker) printf 'http://127.0.0.1:%s' "$(setting WORKER_PORT)" ;;
    ingress) printf 'http://127.0.0.1:%s' "$(setting INGRESS_PORT)" ;;
  esac
}

# No compiler and no build node stays behind when a command has ended.
export MSBUILDDISABLENODEREUSE=1 UseSharedCompilation=false DOTNET_CLI_USE_MSBUILD_SERVER=0 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

# One build at a time in a checkout, whatever state it is for.
build() {
  step 'Building …'
  mkdir -p "$ROOT/.pulse"
  (
    cd "$ROOT"
    exec 8>"$ROOT/.pulse/build.lock"
    flock 8
    dotnet build Pulse.sln -c Release -v q --nologo </dev/null >"$STATE/logs/build.log" 2>&1 8>&- 9>&-
  ) && return 0
  grep -E ': (error|warning) ?[A-Za-z0-9]*:' "$STATE/logs/build.log" | sort -u | head -n 40 >&2 || tail -n 40 "$STATE/logs/build.log" >&2
  return 1
}

# Made up here for the double; what is exported is Stripe's own.
stripe_key() { printf '%s' "${PULSE_STRIPE_API_KEY:-$(setting STRIPE_API_KEY)}"; }
webhook_secret() { printf '%s' "${PULSE_STRIPE_WEBHOOK_SECRET:-$(setting STRIPE_WEBHOOK_SECRET)}"; }

# Made up here, too.
authz_key() { printf '%s' "${PULSE_AUTHZ_KEY:-$(setting AUTHZ_KEY)}"; }

ensure_secrets() {
  [ -n "$(setting AUTHZ_KEY)" ] || set_setting AUTHZ_KEY "$(password)"
  [ -n "$(setting STRIPE_API_KEY)" ] || set_setting STRIPE_API_KEY "sk_test_$(password)"
  [ -n "$(setting STRIPE_WEBHOOK_SECRET)" ] || set_setting STRIPE_WEBHOOK_SECRET "whsec_$(password)"
}

plans_file() { printf '%s' "${PULSE_PLANS_FILE:-$ROOT/deploy/plans.example.json}"; }

worker_environment() {
  printf '%s\n' "PULSE_POSTGRES=$(postgres_uri pulse_worker WORKER_PASSWORD pulse)" "PULSE_RABBITMQ=$(rabbitmq_uri)" \
    "PULSE_WORKER_URL=$(program_url worker)" "PULSE_STRIPE_API_BASE=${PULSE_STRIPE_API_BASE:-$(program_url stripe)}" \
    "PULSE_STRIPE_API_KEY=$(stripe_key)" "PULSE_PLANS_FILE=$(plans_file)"
}

# Only starts it; wait_ready waits.
start_process() {
  local name=$1 dll folder=src given=()
  ! runs "$name" || return 0
  dll=$(program "$name")

  # Each gets its own role. The ingress never gets to know the broker.
  case $name in
    worker) mapfile -t given < <(worker_environment) ;;
    ingress)
      given+=("PULSE_POSTGRES=$(postgres_uri pulse_ingress INGRESS_PASSWORD pulse)" "PULSE_INGRESS_URL=$(program_url ingress)"
        "PULSE_STRIPE_WEBHOOK_SECRET=$(webhook_secret)" "PULSE_AUTHZ_KEY=$(authz_key)" "PULSE_PLANS_FILE=$(plans_file)") ;;
    stripe)
      folder=tests
      given+=("PULSE_STRIPE_URL=$(program_url stripe)" "PULSE_STRIPE_API_KEY=$(stripe_key)" "PULSE_STRIPE_WEBHOOK_SECRET=$(webhook_secret)"
        "PULSE_STRIPE_WEBHOOK_URL=$(program_url ingress)/api/webhooks/stripe" "PULSE_STRIPE_JOURNAL=$STATE/stripe.journal") ;;
  esac

  setsid nohup env -C "$ROOT" -u PULSE_RABBITMQ -u PULSE_RABBITMQ_MANAGEMENT -u PULSE_POSTGRES_INGRESS -u PULSE_POSTGRES_ADMIN \
    DOTNET_ENVIRONMENT=Development ASPNETCORE_ENVIRONMENT=Development DOTNET_NOLOGO=1 \
    PULSE_HOSTED_MODE="${PULSE_HOSTED_MODE:-true}" PULSE_TRUSTED_PROXIES="${PULSE_TRUSTED_PROXIES:-127.0.0.0/8,::1/128}" \
    PULSE_CLOCK_FILE="$STATE/clock" PULSE_AUDIT_DIR="$STATE/audit" PULSE_EXPORT_DIR="${PULSE_EXPORT_DIR:-$STATE/exports}" PULSE_STATE="$STATE" "${given[@]}" \
    dotnet "$ROOT/$folder/${dll%.dll}/bin/Release/net10.0/$dll" </dev/null >>"$STATE/logs/$name.log" 2>&1 9>&- &
  printf '%s\n' $! >"$STATE/pids/$name"
  disown $!
}

is_ready_or_dead() { http_ok "$(program_url "$1")/health/ready" || is_gone "$1"; }

wait_ready() {
  local name
  for name in "$@"; do
    # Just forked, it is a shell for a moment.
    wait_until 2 runs "$name" || true
    if ! wait_until 60 is_ready_or_dead "$name"; then
      last_log_lines "$name"
      say "$RED$name was not ready within 60 s:$PLAIN $(program_url "$name")/health/ready" >&2
      return 1
    elif ! runs "$name"; then
      last_log_lines "$name"
      say "$RED$name ended instead of getting ready.$PLAIN" >&2
      return 1
    fi
  done
}
