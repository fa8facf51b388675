#!/usr/bin/env python3
"""Runs a command once and prints lines `NAME VALUE UNIT ROUND`: MB/s of BYTES, seconds, processor seconds, and the peak
memory of its largest process.

    python3 timed.py NAME BYTES ROUND COMMAND [ARGUMENT ...]
"""
import resource
import subprocess
import sys
import time


def main():
    name, count, label, command = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wall = time.monotonic() - began
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stderr)
        sys.exit(done.returncode)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print("%s %.1f MB/s %s" % (name, count / wall / 1e6, label))
    print("%s/time %.3f s %s" % (name, wall, label))
    print("%s/processor %.3f s %s" % (name, used.ru_utime + used.ru_stime, label))
    print("%s/memory %.1f MB %s" % (name, used.ru_maxrss * 1024 / 1e6, label))


main()
