#!/usr/bin/env bash
# Runs the tests beside busy loops: no test may depend on how busy the machine is.
#
#   scripts/busy.sh [runs] [loops] [arguments of vitest, such as files]
#
# Three runs beside 12 loops by default. Prints the counts of each run, and what failed; the loops are ended by their ids,
# also where it is interrupted. The exit code is 1 if any run failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs=${1:-3} loops=${2:-12}
shift $(($# < 2 ? $# : 2))

log=$(mktemp)
ids=()
code=0
trap 'kill "${ids[@]}" 2>/dev/null; rm -f "$log"' EXIT
trap 'exit 130' INT TERM

for ((loop = 0; loop < loops; loop++)); do
  (while :; do :; done) &
  ids+=($!)
done

for ((run = 1; run <= runs; run++)); do
  began=$SECONDS
  NO_COLOR=1 npx -y pnpm@12 exec vitest run "$@" >"$log" 2>&1 || code=1
  grep -E '^ *(FAIL|[A-Za-z]*Error:)' "$log"
  echo "Run $run of $runs beside $loops loops, $((SECONDS - began)) s: $(tail -n 1 "$log")"
done
exit "$code"
