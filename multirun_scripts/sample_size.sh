#!/usr/bin/env bash
# Rows per iteration. Ends by printing the table; arguments go to every job.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m sprec.run dataset=movielens +sweep=sample_size "$@" -m
