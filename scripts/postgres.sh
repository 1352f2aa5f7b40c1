# shellcheck shell=bash
# A private Postgres: TCP on loopback only, passwords always, and as durable as a real one.

postgres_bin() {
  local initdb
  initdb=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1) || true
  [ -n "$initdb" ] || initdb=$(command -v initdb) || return 1
  dirname "$(readlink -f "$initdb")"
}

# Postgres refuses to run as root.
AS_POSTGRES=()
[ "$(id -u)" -ne 0 ] || AS_POSTGRES=(runuser -u postgres --)

postgres_home() { cat "$STATE/postgres.home" 2>/dev/null; }

# Beside the rest of the state where the user that Postgres runs as can get there, elsewhere if not.
make_postgres_home() {
  local home=$STATE/postgres
  if [ "$(id -u)" -eq 0 ]; then
    mkdir -p "$home"
    chown postgres: "$home"
    if ! runuser -u postgres -- test -w "$home"; then
      rmdir "$home"
      home=$(mktemp -d "/var/tmp/pulse-postgres.XXXXXXXX")
      chown postgres: "$home"
    fi
  else
    mkdir -p "$home"
  fi
  chmod 700 "$home"
  printf '%s\n' "$home" >"$STATE/postgres.home"
}

remove_postgres() {
  local home
  home=$(postgres_home) || return 0
  case $home in
    "$STATE/postgres" | /var/tmp/pulse-postgres.????????) rm -rf -- "$home" ;;
  esac
  rm -f -- "$STATE/postgres.home"
}

postgres_uri() { printf 'postgresql://%s:%s@127.0.0.1:%s/%s' "$1" "$(setting "$2")" "$(setting POSTGRES_PORT)" "$3"; }

make_postgres_data() {
  local home=$1 locale=C
  [ ! -f "$home/data/PG_VERSION" ] || return 0
  ! locale -a 2>/dev/null | grep -xi 'c.utf-\?8' >/dev/null || locale=C.UTF-8
  (umask 077 && setting POSTGRES_PASSWORD >"$home/password")
  [ "$(id -u)" -ne 0 ] || chown postgres: "$home/password"
  # A data directory is the whole of it or nothing: an interrupted initdb is done again.
  "${AS_POSTGRES[@]}" rm -rf "$home/data.new"
  (cd / && "${AS_POSTGRES[@]}" "$(postgres_bin)/initdb" -D "$home/data.new" -U postgres -E UTF8 --locale="$locale" \
    -A scram-sha-256 --pwfile="$home/password") >"$STATE/logs/initdb.log" 2>&1 9>&- ||
    { cat "$STATE/logs/initdb.log" >&2; fail 'Postgres could not make its data directory.'; }
  rm -f "$home/password"
  mv "$home/data.new" "$home/data"
}

start_postgres() {
  ! runs postgres || return 0
  local bin home
  bin=$(postgres_bin)
  home=$(postgres_home) || home=''
  [ -d "$home" ] || make_postgres_home
  home=$(postgres_home)
  ensure_password POSTGRES_PASSWORD
  ensure_password WORKER_PASSWORD
  ensure_password INGRESS_PASSWORD
  make_postgres_data "$home"

  # After kill -9 the backends outlive the postmaster for a moment and hold its memory: it is tried again until they end.
  local deadline=$((SECONDS + 60))
  until try_postgres "$bin" "$home"; do
    [ "$SECONDS" -lt "$deadline" ] || { last_log_lines postgres; fail 'Postgres does not start.'; }
    sleep 0.5
  done
}

# Starts the server and waits until it answers; fails when it ends before that.
try_postgres() {
  local bin=$1 home=$2 pid preload=''
  [ ! -e "$bin/../lib/pg_stat_statements.so" ] || preload=pg_stat_statements
  setsid nohup env -C / "${AS_POSTGRES[@]}" "$bin/postgres" -D "$home/data" -p "$(setting POSTGRES_PORT)" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 -c shared_buffers=256MB \
    -c fsync=on -c shared_preload_libraries="$preload" </dev/null >>"$STATE/logs/postgres.log" 2>&1 9>&- &
  pid=$!
  disown "$pid"
  while kill -0 "$pid" 2>/dev/null; do
    # The server's own word for its process id: the one started above may be runuser's.
    if "$bin/pg_isready" -q -h 127.0.0.1 -p "$(setting POSTGRES_PORT)" -t 2; then
      head -n 1 "$home/data/postmaster.pid" >"$STATE/pids/postgres"
      runs postgres && return 0
    fi
    sleep 0.1
  done
  return 1
}

make_database() {
  local bin
  bin=$(postgres_bin)
  # The passwords by way of the input: a command line can be read by everyone on the machine.
  {
    printf "\\set worker_password '%s'\n" "$(setting WORKER_PASSWORD)"
    printf "\\set ingress_password '%s'\n" "$(setting INGRESS_PASSWORD)"
    cat "$ROOT/deploy/postgres/roles.sql"
  } | PGPASSWORD=$(setting POSTGRES_PASSWORD) PGCONNECT_TIMEOUT=10 "$bin/psql" -X -q -v ON_ERROR_STOP=1 \
    -h 127.0.0.1 -p "$(setting POSTGRES_PORT)" -U postgres -d postgres >"$STATE/logs/roles.log" 2>&1 ||
    { cat "$STATE/logs/roles.log" >&2; fail 'The roles and the database could not be made.'; }
}
