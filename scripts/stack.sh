# shellcheck shell=bash
# Everything together: up, down, servers, restart.

NAMES=(postgres rabbitmq stripe worker ingress)

rabbitmq_uri() { printf 'amqp://pulse:%s@127.0.0.1:%s/pulse' "$(setting RABBITMQ_PASSWORD)" "$(setting RABBITMQ_PORT)"; }

server_values() {
  printf '%s\n' "PULSE_POSTGRES=$(postgres_uri pulse_worker WORKER_PASSWORD pulse)" \
    "PULSE_POSTGRES_INGRESS=$(postgres_uri pulse_ingress INGRESS_PASSWORD pulse)" \
    "PULSE_POSTGRES_ADMIN=$(postgres_uri postgres POSTGRES_PASSWORD postgres)" \
    "PULSE_RABBITMQ=$(rabbitmq_uri)" "PULSE_RABBITMQ_MANAGEMENT=$(rabbitmq_management)"
}

process_values() {
  printf '%s\n' "PULSE_INGRESS_URL=$(program_url ingress)" "PULSE_WORKER_URL=$(program_url worker)" "PULSE_STRIPE_URL=$(program_url stripe)" \
    "PULSE_STRIPE_API_KEY=$(stripe_key)" "PULSE_STRIPE_WEBHOOK_SECRET=$(webhook_secret)" "PULSE_AUTHZ_KEY=$(authz_key)"
}

publish() {
  local values
  mapfile -t values < <("$@")
  write_env "${values[@]}"
}

both_values() { process_values; server_values; key_values; }

# The processes that were started here, alive or not.
started() {
  local name
  for name in "${NAMES[@]}"; do [ ! -f "$STATE/pids/$name" ] || say "$name"; done
}

dead() {
  local name
  for name in $(started); do
    if [ "$(setting MODE)" = compose ]; then compose_runs "$name"; else runs "$name"; fi || say "$name"
  done
}

any_lives() {
  local name
  for name in "$@"; do ! runs "$name" || return 0; done
  return 1
}

choose_server_ports() {
  choose_port postgres POSTGRES_PORT PULSE_POSTGRES
  choose_port rabbitmq RABBITMQ_PORT PULSE_RABBITMQ
  choose_port rabbitmq RABBITMQ_MANAGEMENT_PORT PULSE_RABBITMQ_MANAGEMENT
  choose_port rabbitmq RABBITMQ_DISTRIBUTION_PORT
  choose_port epmd EPMD_PORT
}

choose_process_ports() {
  choose_port worker WORKER_PORT PULSE_WORKER_URL
  choose_port ingress INGRESS_PORT PULSE_INGRESS_URL
  choose_port stripe STRIPE_PORT PULSE_STRIPE_URL
  ensure_secrets
}

start_servers() {
  step 'Starting Postgres and RabbitMQ …'
  start_rabbitmq
  start_postgres
  make_database
  wait_rabbitmq
}

stop_all() {
  local name
  if [ "$(setting MODE)" = compose ]; then
    compose_down
  else
    for name in ingress worker stripe; do stop_process "$name"; done
    stop_rabbitmq
    stop_process postgres
  fi
  for name in "${NAMES[@]}"; do rm -f "$STATE/pids/$name"; done
  rm -f "$STATE/env"
}

remove_data() {
  compose_remove_data
  remove_postgres
  rm -rf -- "$STATE/rabbitmq" "$STATE/audit" "$STATE/exports" "$STATE/plans.json" "$STATE/settings" "$STATE/clock" "$STATE/stripe.journal"
}

show_urls() {
  say "  ingress    $(running_value PULSE_INGRESS_URL)"
  say "  worker     $(running_value PULSE_WORKER_URL)   (/metrics, /health/ready)"
  say "  Stripe     $(running_value PULSE_STRIPE_URL)   (a double: GET /control tells what can happen there)"
  say "  RabbitMQ   $(running_value PULSE_RABBITMQ_MANAGEMENT)"
  say "  Postgres   $(running_value PULSE_POSTGRES)"
  say "  all of it  $STATE/env"
}

# Says what is already there. Fails when nothing is.
already_up() {
  local name died
  if [ "$(setting MODE)" = compose ]; then
    compose_runs worker || compose_runs ingress || return 1
  else
    any_lives worker ingress || return 1
  fi
  died=$(dead)
  say "${GREEN}Pulse is already running.${PLAIN}"
  show_urls
  for name in $died; do say "${RED}$name has died.${PLAIN} Start it again: ./pulse restart $name"; done
  [ -z "$died" ] || exit 1
}

command_up() {
  local detach=false built=false
  while [ $# -gt 0 ]; do
    case $1 in
      --detach) detach=true ;;
      --no-build) built=true ;;
      *) mistake "up does not know '$1'." ;;
    esac
    shift
  done

  lock_state
  if already_up; then return 0; fi
  ensure_installed dotnet postgres rabbitmq curl flock setsid
  choose_server_ports
  choose_process_ports
  or_stop_all bring_up
  unlock_state

  say "${GREEN}Pulse is ready.${PLAIN}"
  show_urls
  if $detach; then
    say '  stop it with ./pulse down'
  else
    follow_until_interrupted
  fi
}

# A start that fails or is interrupted leaves nothing running.
or_stop_all() {
  trap 'step "Stopping what was started …"; stop_all' EXIT
  trap 'exit 130' INT TERM HUP
  "$@"
  trap - EXIT INT TERM HUP
}

# With built of its caller.
bring_up() {
  if [ "$MODE" = compose ]; then
    compose_up postgres rabbitmq stripe worker ingress
    return 0
  fi
  $built || build || fail 'The build failed: nothing was started.'
  fresh_logs
  start_servers
  step 'Starting worker, ingress and a double of Stripe …'
  start_process stripe
  start_process worker
  start_process ingress
  wait_ready stripe worker ingress || fail "Pulse did not start. The whole logs are in $STATE/logs."
  ensure_keys
  publish both_values
}

fresh_logs() {
  local name
  for name in "${NAMES[@]}"; do runs "$name" || : >"$STATE/logs/$name.log"; done
}

command_down() {
  local keep=false
  case ${1-} in
    --keep-data) keep=true; shift ;;
  esac
  [ $# -eq 0 ] || mistake "down does not know '$1'."

  [ -d "$STATE" ] || { say 'Nothing is running.'; return 0; }
  lock_state
  local had
  had=$(started)
  stop_all
  $keep || remove_data
  if [ -n "$had" ]; then say "Stopped: ${had//$'\n'/, }."; else say 'Nothing was running.'; fi
}

command_servers() {
  case ${1-} in
    up)
      lock_state
      if [ -f "$STATE/env" ] && [ -z "$(dead)" ] && [ -n "$(started)" ]; then
        say "${GREEN}Postgres and RabbitMQ are already running.${PLAIN}"
      else
        ensure_installed postgres rabbitmq curl flock setsid
        choose_server_ports
        or_stop_all servers_up
      fi
      say "  Postgres   $(running_value PULSE_POSTGRES_ADMIN)"
      say "  RabbitMQ   $(running_value PULSE_RABBITMQ_MANAGEMENT)"
      say "  all of it  $STATE/env"
      ;;
    down) command_down "${@:2}" ;;
    *) mistake "servers needs up or down." ;;
  esac
}

servers_up() {
  if [ "$MODE" = compose ]; then
    compose_up postgres rabbitmq
    return 0
  fi
  fresh_logs
  start_servers
  publish server_values
}

command_restart() {
  local name=${1-}
  [ $# -eq 1 ] || mistake "restart needs one of: ${NAMES[*]}."
  [[ " ${NAMES[*]} " == *" $name "* ]] || mistake "'$name' is none of: ${NAMES[*]}."
  [ -f "$STATE/pids/$name" ] || fail "$name was not started here. Start everything with ./pulse up"

  lock_state
  if [ "$(setting MODE)" = compose ]; then
    compose_restart "$name"
  else
    restart_native "$name"
  fi
  say "$name is running again (process $(cat "$STATE/pids/$name"))."
}

restart_native() {
  case $1 in
    postgres) stop_process postgres; start_postgres ;;
    rabbitmq)
      local killed=false
      runs rabbitmq || killed=true
      stop_process rabbitmq
      start_rabbitmq
      wait_rabbitmq
      ! $killed || elect_leaders
      ;;
    *)
      stop_process "$1"
      start_process "$1"
      wait_ready "$1" || fail "$1 did not start again."
      ;;
  esac
}
