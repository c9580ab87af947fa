#!/usr/bin/env bash
# Every negative-sampling strategy. Ends by printing the table; arguments go to every job.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m sprec.run dataset=movielens +sweep=negatives "$@" -m
