#!/usr/bin/env bash
# The whole way in about a minute: generated data, a tiny Llama, self-play beside random negatives, a table, a page.
set -euo pipefail
cd "$(dirname "$0")/.."
out=multirun/demo-$(date +%Y%m%d-%H%M%S)
python -m sprec.run dataset=toy base_llm=tiny method=sprec,random_negatives budget.sft_rows=1250 budget.iterations=1 \
  tracker=silent hydra.sweep.dir="$out" -m
python -m sprec.report page "$out" --output "$out/page.html" --title "SPRec on generated data" >/dev/null
echo
python -m sprec.report "$out" --table main --k 5 --tests off
echo
echo "The page of these runs: $out/page.html"
