#!/usr/bin/env bash
# A job in bash, for `spotkeeper-agent run`: it knows nothing of Spotkeeper but the line that loads.
# Its configuration names what to run on a notice:
#   "command": "exec ./train.sh", "notice_command": "./save.sh", "notice_command_confirms": true
set -euo pipefail

out=${OUT:-out}
python3 -m spotkeeper_training load "$out" # the latest checkpoint, or nothing on the first run
mkdir -p "$out"
step=$(cat "$out/step" 2>/dev/null || echo 0)

while ((step < ${STEPS:-600})); do
  sleep "${PACE:-0.1}" # here the work is done
  step=$((step + 1))
  echo "$step" >"$out/step.new" && mv "$out/step.new" "$out/step" # files are whole at any time
done

./save.sh # the result; exit code 0 says that the work is done
