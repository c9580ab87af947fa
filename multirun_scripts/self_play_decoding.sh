#!/usr/bin/env bash
# Greedy (released) against sampled (theory) self-play and random negatives, from the same initial SFT. Ends by printing the
# table. Arguments go to all three runs, one value a key. OUT=DIR names a free folder, which a second start needs.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-multirun/self_play_decoding}
python -m sprec.run dataset=movielens decoding=greedy,sampled hydra.sweep.dir="$out/self_play" "$@" -m
python -m sprec.run dataset=movielens method=random_negatives hydra.run.dir="$out/random" "$@"
python -m sprec.report "$out" --table negatives
