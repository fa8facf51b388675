#!/usr/bin/env bash
# Builds lmplz, the oracle of n-gram training, from the source package of kenlm on the Python registry.
#
#   bench/peers/build_lmplz.sh FOLDER        leaves FOLDER/lmplz
#
# Needs a C++ compiler, pip, and the headers of Boost (program_options, system, thread), Eigen 3 and zlib; on Debian:
#   apt-get install libboost-program-options-dev libboost-system-dev libboost-thread-dev libboost-test-dev libeigen3-dev zlib1g-dev
set -euo pipefail
folder="$(mkdir -p "$1" && cd "$1" && pwd)"
cd "$folder"
python3 -m venv tools
tools/bin/pip install --quiet "cmake<4"
tools/bin/pip download --quiet --no-deps --no-binary kenlm kenlm==0.3.0
tar xzf kenlm-0.3.0.tar.gz
mkdir -p kenlm-0.3.0/build
cd kenlm-0.3.0/build
"$folder/tools/bin/cmake" .. -DCMAKE_BUILD_TYPE=Release -DFORCE_STATIC=OFF -DBUILD_TESTING=OFF
make -j"$(nproc)" lmplz
cp bin/lmplz "$folder/lmplz"
