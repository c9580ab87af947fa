#!/usr/bin/env bash
# Methods × seeds on one dataset (dataset=a,b for more). Ends by printing the table; arguments go to every job.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m sprec.run dataset=movielens +sweep=main_table "$@" -m
