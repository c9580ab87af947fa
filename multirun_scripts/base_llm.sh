#!/usr/bin/env bash
# Several base LLMs. Ends by printing the table; arguments go to every job.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m sprec.run dataset=movielens +sweep=base_llm "$@" -m
