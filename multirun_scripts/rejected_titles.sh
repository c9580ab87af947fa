#!/usr/bin/env bash
# Which rejected titles? Self-play (greedy, sampled, three beams), random titles, and no DPO, each ranked by beams and by
# grounding, from one initial SFT a seed, beside SASRec. Ends by printing the table. Arguments go to every job; started again,
# it goes on from the stored stages. OUT=DIR names the folder of its jobs, SEEDS=0,1,2 the seeds.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-multirun/rejected_titles/$(date +%Y-%m-%dT%H-%M-%S)}
options=(dataset=movielens "seed=${SEEDS:-0,1,2}" budget.test_rows=1000 "hydra.sweep.dir=$out" "$@" -m)
for ranking in beam grounded; do
  python -m sprec.run "ranking=$ranking" decoding=greedy,sampled "${options[@]}"
  python -m sprec.run "ranking=$ranking" negatives=beams "${options[@]}"
  python -m sprec.run "ranking=$ranking" method=random_negatives,without_dpo "${options[@]}"
done
python -m sprec.run method=sasrec "${options[@]}"
python -m sprec.report "$out" --table main
