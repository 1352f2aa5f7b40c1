# shellcheck shell=bash
# A private RabbitMQ with its own node name, ports, cookie and epmd: two checkouts never meet.

rabbitmq_bin() {
  local server
  # Not the one in /usr/sbin: that changes to the user rabbitmq.
  for server in /usr/lib/rabbitmq/bin/rabbitmq-server /usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server /opt/rabbitmq/sbin/rabbitmq-server; do
    [ -x "$server" ] && printf '%s' "$server" && return 0
  done
  return 1
}

rabbitmq_node() { printf 'pulse-%s@localhost' "$(printf '%s' "$STATE" | cksum | cut -d ' ' -f 1)"; }

rabbitmq_management() { printf 'http://pulse:%s@127.0.0.1:%s' "$(setting RABBITMQ_PASSWORD)" "$(setting RABBITMQ_MANAGEMENT_PORT)"; }

# Salted as RabbitMQ wants it: base64(salt + sha256(salt + password)).
rabbitmq_hash() {
  local salt hash
  salt=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
  hash=$({ unhex "$salt"; printf '%s' "$1"; } | sha256sum | cut -d ' ' -f 1)
  unhex "$salt$hash" | base64 -w 0
}

# shellcheck disable=SC2059 # the escapes are the point
unhex() { printf "$(printf '%s' "$1" | sed 's/../\\x&/g')"; }

# The user and its vhost are there from the first moment, and no guest.
configure_rabbitmq() {
  local home=$1
  mkdir -p "$home/home" "$home/log"
  : >"$home/rabbitmq-env.conf"
  printf '[].\n' >"$home/advanced.config"
  printf '[rabbitmq_management].\n' >"$home/enabled_plugins"
  (
    umask 077
    cat >"$home/definitions.json" <<JSON
{
  "users": [{"name": "pulse", "password_hash": "$(rabbitmq_hash "$(setting RABBITMQ_PASSWORD)")",
             "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator"}],
  "vhosts": [{"name": "pulse"}],
  "permissions": [{"user": "pulse", "vhost": "pulse", "configure": ".*", "write": ".*", "read": ".*"}]
}
JSON
  )
  cat >"$home/rabbitmq.conf" <<CONF
listeners.tcp.local = 127.0.0.1:$(setting RABBITMQ_PORT)
management.tcp.ip = 127.0.0.1
management.tcp.port = $(setting RABBITMQ_MANAGEMENT_PORT)
load_definitions = $home/definitions.json
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
CONF
}

start_epmd() {
  ! runs epmd || return 0
  local epmd
  epmd=$(command -v epmd || compgen -G '/usr/lib/erlang/erts-*/bin/epmd' | tail -n 1) || fail 'epmd, a part of Erlang, is missing.'
  setsid nohup "$epmd" -address 127.0.0.1 -port "$(setting EPMD_PORT)" </dev/null >>"$STATE/logs/rabbitmq.log" 2>&1 9>&- &
  printf '%s\n' $! >"$(pid_file epmd)"
  disown $!
  wait_until 10 port_answers "$(setting EPMD_PORT)" || { last_log_lines rabbitmq; fail 'epmd does not start.'; }
}

# Only starts it; wait_rabbitmq waits.
start_rabbitmq() {
  ! runs rabbitmq || return 0
  local home=$STATE/rabbitmq node
  node=$(rabbitmq_node)
  ensure_password RABBITMQ_PASSWORD
  configure_rabbitmq "$home"
  start_epmd

  # RUNNING_UNDER_SYSTEMD makes the start script become the server instead of its parent.
  setsid nohup env -i PATH="$PATH" HOME="$home/home" LANG=C.UTF-8 RUNNING_UNDER_SYSTEMD=true \
    ERL_EPMD_PORT="$(setting EPMD_PORT)" ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_DIST_PORT="$(setting RABBITMQ_DISTRIBUTION_PORT)" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
    RABBITMQ_NODENAME="$node" RABBITMQ_MNESIA_BASE="$home/mnesia" RABBITMQ_LOG_BASE="$home/log" RABBITMQ_LOGS=- \
    RABBITMQ_CONF_ENV_FILE="$home/rabbitmq-env.conf" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
    RABBITMQ_ADVANCED_CONFIG_FILE="$home/advanced.config" RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" \
    RABBITMQ_GENERATED_CONFIG_DIR="$home/config" RABBITMQ_SCHEMA_DIR="$home/schema" RABBITMQ_PID_FILE="$home/pid" \
    "$(rabbitmq_bin)" </dev/null >>"$STATE/logs/rabbitmq.log" 2>&1 9>&- &
  RABBITMQ_STARTED=$!
  disown "$RABBITMQ_STARTED"
  printf '%s\n' "$RABBITMQ_STARTED" >"$STATE/pids/rabbitmq"
}

rabbitmq_answers() {
  ! kill -0 "${RABBITMQ_STARTED:-$$}" 2>/dev/null && return 0 # dead: no use to wait on
  port_answers "$(setting RABBITMQ_PORT)" && http_ok "$(rabbitmq_management)/api/health/checks/virtual-hosts"
}

wait_rabbitmq() {
  if ! wait_until 60 rabbitmq_answers || ! runs rabbitmq; then
    last_log_lines rabbitmq
    fail 'RabbitMQ does not start.'
  fi
}

# RabbitMQ 3.10 writes a new quorum queue's raft term to disk only after some seconds. Killed before that, the node takes the
# queue for one that was never started, waits to be told to elect, and nobody tells it: the queue takes no message any more.
elect_leaders() {
  local home=$STATE/rabbitmq
  env -i PATH="$PATH" HOME="$home/home" LANG=C.UTF-8 ERL_EPMD_PORT="$(setting EPMD_PORT)" RABBITMQ_NODENAME="$(rabbitmq_node)" \
    RABBITMQ_CONF_ENV_FILE="$home/rabbitmq-env.conf" timeout 30 "$(dirname "$(rabbitmq_bin)")/rabbitmqctl" --quiet eval '
    [ra:trigger_election({Name, node()})
     || Queue <- rabbit_amqqueue:list(), amqqueue:get_type(Queue) =:= rabbit_quorum_queue,
        {Name, _} <- [amqqueue:get_pid(Queue)], ra_leaderboard:lookup_leader(Name) =:= undefined].' \
    >>"$STATE/logs/rabbitmq.log" 2>&1 9>&- || say "${RED}Quorum queues may be without a leader:${PLAIN} see $STATE/logs/rabbitmq.log"
}

stop_rabbitmq() {
  stop_process rabbitmq
  stop_process epmd
  rm -f "$(pid_file epmd)"
}
