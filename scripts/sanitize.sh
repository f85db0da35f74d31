#!/bin/sh
# Run the kernel's tests with its library compiled under gcc's address and undefined-behaviour sanitizers; arguments go
# to pytest. The library is put back at the end, whatever happens.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
library=src/talentfeed/ranking/_kernel.so
trap 'rm -f "$library"; "$python" hatch_build.py' EXIT
CC=gcc "$python" hatch_build.py -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
# Python's own allocator would hide from the sanitizer where an array ends; what it never frees is none of ours.
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 PYTHONMALLOC=malloc \
    "$python" -m pytest tests/ranking -q -p no:cacheprovider "$@"
