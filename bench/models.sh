#!/usr/bin/env bash
# Ask-LLM and MiniLM beside their peers: bench/models.sh ROUNDS RESULT
set -euo pipefail
cd "$(dirname "$0")/.."
