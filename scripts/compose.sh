# shellcheck shell=bash
# The same commands where the servers come from a Docker engine: docker-compose.yml runs everything, worker and ingress too.

# With the profile that the double of Stripe is in, or it would be left behind.
compose() { (cd "$ROOT" && COMPOSE_PROFILES=development docker compose -p "$(compose_project)" --env-file "$STATE/compose.env" "$@" 9>&-); }

compose_project() { printf 'pulse-%s' "$(printf '%s' "$STATE" | cksum | cut -d ' ' -f 1)"; }

compose_runs() { [ -f "$STATE/compose.env" ] && compose ps --status running --services 2>/dev/null | grep -xF -- "$1" >/dev/null; }

compose_up() {
  local name
  for name in POSTGRES_PASSWORD WORKER_PASSWORD INGRESS_PASSWORD RABBITMQ_PASSWORD; do ensure_password "$name"; done
  # The file names every service's port, also of those that are not wanted now.
  choose_process_ports
  (
    umask 077
    sed 's/^/PULSE_COMPOSE_/' "$STATE/settings"
    # The double's, unless Stripe itself is meant.
    printf '%s\n' "PULSE_STRIPE_API_BASE=${PULSE_STRIPE_API_BASE:-http://stripe:8082}" "PULSE_STRIPE_API_KEY=$(stripe_key)" \
      "PULSE_STRIPE_WEBHOOK_SECRET=$(webhook_secret)" "PULSE_AUTHZ_KEY=$(authz_key)" "PULSE_PLANS_FILE=/pulse/plans.example.json"
  ) >"$STATE/compose.env"

  step 'Starting containers …'
  if ! compose up --detach --build --wait --wait-timeout 300 "$@"; then
    compose logs --tail 25 >&2 || true
    fail 'The containers did not get ready.'
  fi
  compose_pids "$@"
  case " $* " in
    *' ingress '*) ensure_keys && publish both_values ;;
    *) publish server_values ;;
  esac
}

# As the engine's machine counts them: to be signalled they must be on this one.
compose_pids() {
  local name
  for name in "$@"; do
    docker inspect -f '{{.State.Pid}}' "$(compose ps -q "$name")" >"$STATE/pids/$name"
  done
}

compose_restart() {
  compose restart -t 30 "$1"
  compose up --detach --wait --no-recreate "$1"
  compose_pids "$1"
}

compose_down() {
  [ -f "$STATE/compose.env" ] || return 0
  compose down -t 30
}

compose_remove_data() {
  [ -f "$STATE/compose.env" ] || return 0
  compose down --volumes
  rm -f "$STATE/compose.env"
}
