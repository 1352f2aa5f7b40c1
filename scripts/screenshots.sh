# shellcheck shell=bash
# The console's pages as a browser shows them: a test takes them, and says what is cut or runs over.

command_screenshots() {
  [ $# -eq 0 ] || mistake "screenshots does not know '$1'."
  local missing
  lock_state
  mapfile -t missing < <(missing dotnet postgres rabbitmq curl chromium)
  [ ${#missing[@]} -eq 0 ] || install_or_tell "${missing[@]}"
  build || fail 'The build failed.'
  unlock_state
  mkdir -p "$ROOT/docs/console"
  PULSE_SCREENSHOTS=$ROOT/docs/console dotnet test "$ROOT/tests/Pulse.EndToEnd" -c Release --no-build --nologo \
    --filter FullyQualifiedName~Console.ScreenshotTests --logger 'console;verbosity=minimal' </dev/null
  ls -l "$ROOT/docs/console"
}
