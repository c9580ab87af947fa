#!/usr/bin/env bash
# On a CUDA machine: the gpu tests, then SFT, DPO, S-DPO and self-play steps on Llama-3.2-1B shapes, and their MFU.
# Without CUDA both say what they skip. Arguments go to the steps: --weights DIR, or --device cpu --shapes tiny.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m pytest -q -m gpu tests
python -m benchmarks.cuda "$@"
