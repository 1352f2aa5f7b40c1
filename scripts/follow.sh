# shellcheck shell=bash
# The foreground of `up`: every process's log lines, its name in front, until Ctrl-C.

follow_until_interrupted() {
  local followers=() name told=' '
  say "  Ctrl-C stops everything"
  say
  if [ "$(setting MODE)" = compose ]; then
    compose logs --follow & followers+=($!)
  else
    # The lines of the processes since their start; of the servers, what they say from now on.
    follow worker "$CYAN" +1 & followers+=($!)
    follow ingress "$GREEN" +1 & followers+=($!)
    follow stripe "$YELLOW" +1 & followers+=($!)
    follow rabbitmq "$MAGENTA" 0 & followers+=($!)
    follow postgres "$BLUE" 0 & followers+=($!)
  fi

  # shellcheck disable=SC2064 # the followers of now
  trap "interrupted ${followers[*]}" INT TERM HUP
  while [ -f "$STATE/env" ]; do
    for name in $(dead); do
      [[ $told == *" $name "* ]] || say "${RED}$name has died.${PLAIN} Start it again: ./pulse restart $name"
    done
    told=" $(dead | tr '\n' ' ')"
    sleep 1 &
    wait $! || true
  done
  trap - INT TERM HUP
  kill "${followers[@]}" 2>/dev/null || true
  say 'Pulse was stopped.'
}

interrupted() {
  trap '' INT TERM HUP
  say
  step 'Stopping …'
  lock_state
  stop_all
  remove_data
  kill "$@" 2>/dev/null || true
  say 'Stopped.'
  exit 0
}

follow() {
  local name=$1 colour=$2 from=$3 label
  # The keyboard's signal is for the script, so that the last lines of what is being stopped are still seen.
  trap '' INT
  label=$(printf '%s%-8s%s ' "$colour" "$name" "$PLAIN")
  tail --pid=$$ -n "$from" -F "$STATE/logs/$name.log" 2>/dev/null |
    sed -u -E "/( (fail|crit):|\[error\]|\[critical\]|(ERROR|FATAL|PANIC): )/s/.*/$RED&$PLAIN/; /( warn:|\[warning\]|WARNING: )/s/.*/$YELLOW&$PLAIN/; s/^/$label/"
}
