#!/usr/bin/env bash
# What the agent runs on a notice: a checkpoint of the folder, whole or invisible. Exit code 0 confirms it.
set -euo pipefail

out=${OUT:-out}
exec python3 -m spotkeeper_training save "$out" --step "$(cat "$out/step")"
