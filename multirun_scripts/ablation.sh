#!/usr/bin/env bash
# The ablation table: full, without SFT, without DPO, random negatives. Arguments go to every arm.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m sprec.run dataset=movielens +sweep=ablation "$@" -m
