#!/usr/bin/env python3
"""Runs a command once and prints MB/s of BYTES, wall and processor seconds, and the peak memory of the process.

    python3 timed.py BYTES NAME COMMAND [ARGUMENT ...]
"""
import resource
import subprocess
import sys
import time


def main():
    count, name, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    wall = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        "%-28s %7.1f MB/s  wall %6.2f s  cpu %6.2f s  peak %6.0f MB  exit %d"
        % (name, count / wall / 1e6, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3, done.returncode)
    )
    sys.exit(done.returncode)


main()
