# shellcheck shell=bash
# Moves the clock of every process of this state directory, the double of Stripe too: they read the offset from a file (src/Pulse.Hosting/MovableClock.cs).

command_clock() {
  local move=${1-} unit now=0
  [ $# -eq 1 ] || mistake 'clock needs +N with a unit (s m h d), as in +30d, or reset.'
  [ "$(setting MODE)" != compose ] || fail 'The clock can be moved only where the processes run on this machine, not in Docker.'

  if [ "$move" = reset ]; then
    rm -f "$STATE/clock"
  elif [[ $move =~ ^\+([0-9]{1,9})([smhd])$ ]]; then
    case ${BASH_REMATCH[2]} in s) unit=1 ;; m) unit=60 ;; h) unit=3600 ;; d) unit=86400 ;; esac
    [ -f "$STATE/env" ] || fail 'Pulse is not running. Start it with ./pulse up'
    lock_state
    [ ! -f "$STATE/clock" ] || now=$(cat "$STATE/clock")
    printf '%s\n' $((now + 10#${BASH_REMATCH[1]} * unit)) >"$STATE/clock.new"
    mv "$STATE/clock.new" "$STATE/clock"
  else
    mistake "'$move' is no move of the clock: +N with a unit (s m h d), as in +30d, or reset."
  fi

  now=$(cat "$STATE/clock" 2>/dev/null) || now=0
  say "Pulse's clock now says $(date -u -d "@$(($(date +%s) + now))" '+%Y-%m-%d %H:%M:%S') UTC (${now} s ahead)."
}
