# What a line of pipelines.txt can use. Sourced by bash before each line; a line must end with status 0.
set -o pipefail

# same A B: two outputs hold the same images, byte for byte, and the same recipe
same() {
  diff <(cd "$1" && find . -type f ! -name '*.json' | sort | xargs -d '\n' sha256sum) \
       <(cd "$2" && find . -type f ! -name '*.json' | sort | xargs -d '\n' sha256sum) &&
    [ "$(find "$1" -type f ! -name '*.json' | wc -l)" -gt 0 ]
}

# exits N COMMAND...: the command ends with status N and shows no traceback; its errors are kept in ./err
exits() {
  local wanted=$1 got=0
  shift
  "$@" 2>err || got=$?
  cat err >&2
  [ "$got" -eq "$wanted" ] || { echo "exit $got instead of $wanted: $*" >&2; return 1; }
  ! grep -q Traceback err
}

# clean DIR: no half-written file is left there
clean() {
  [ -z "$(find "$1" -name '.[0-9]*')" ] || { find "$1" -name '.[0-9]*' >&2; return 1; }
}

# terminal COMMAND...: run it with a terminal as standard input, output and error
terminal() {
  script -qec "$(printf '%q ' "$@")" /dev/null </dev/null
}

# gone PATTERN: within ten seconds no process of this folder matches
gone() {
  local found
  for _ in $(seq 100); do
    found=$(for pid in $(pgrep -f "$1"); do [ "$(readlink /proc/$pid/cwd)" != "$PWD" ] || ps -o pid=,args= -p $pid; done)
    [ -n "$found" ] || return 0
    sleep 0.1
  done
  echo "$found" >&2
  return 1
}
