#!/usr/bin/env bash
# The number format that `--dtype auto` takes on this processor, then the other one: what users get is measured first, and is what
# peers are held against.
case "$("${CARGO_TARGET_DIR:-$PWD/target}/release/examples/kernel_bench" none)" in
    *"auto f32"*) echo f32 bf16 ;;
    *) echo bf16 f32 ;;
esac
