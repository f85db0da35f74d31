#!/bin/sh
# Make .venv with the pinned packages of requirements/$1.txt and this project in it.
# Needs nothing but a Debian or Ubuntu with Python 3.11+; what is missing there is installed or named.
set -eu
set_name=$1
cd "$(dirname "$0")/.."

apt_install() {
    if [ "$(id -u)" = 0 ]; then as_root=""; elif command -v sudo >/dev/null; then as_root=sudo; else
        echo "Missing: $*. Install it as root:  apt-get install $*" >&2
        exit 1
    fi
    echo "Installing Debian packages: $*" >&2
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Microseconds of processor time that a Python takes for a fixed computation, at best.
pace_of() {
    "$1" - <<'END'
import time


class Point:
    def __init__(self, x):
        self.x = x


def work():
    points = [Point(number) for number in range(2_000)]
    return sum(len(str(point.x)) for point in points if {point.x: point}[point.x] is point)


def timed():
    begun = time.process_time()
    for _ in range(5):
        work()
    return time.process_time() - begun


print(round(1e6 * min(timed() for _ in range(12))))
END
}

if [ "$set_name" = system ]; then # what the tests start on loopback
    shift
    missing=""
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || missing="$missing ${pair##*:}"
    done
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || apt_install $missing
    exit 0
fi

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=""
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v $candidate >/dev/null && $candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "Python 3.11 or newer is needed; found: $(python3 --version 2>&1 || echo none). Install it:  apt-get install python3" >&2
        exit 1
    fi
    # The same version may be here twice: the distribution's is compiled with profiles, one compiled by hand mostly is
    # not, and takes up to twice the time for everything. Another is taken where it is a good deal faster.
    version=$($python -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    least=$(pace_of "$python") || least=0 # then it stays
    for candidate in "/usr/bin/$version" "/usr/local/bin/$version"; do
        [ -x "$candidate" ] && $candidate -c 'import ensurepip, sqlite3, ssl' 2>/dev/null || continue
        pace=$(pace_of "$candidate") || continue
        if [ $((pace * 5)) -lt $((least * 4)) ]; then
            echo "Taking $candidate: a fixed computation takes it $pace µs, and $python $least µs" >&2
            python=$candidate least=$pace
        fi
    done
    # Debian ships venv apart from Python itself.
    $python -c 'import ensurepip' 2>/dev/null || apt_install "$($python -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    $python -m venv --clear .venv
fi

# The ranking kernel is compiled when the project is installed.
[ -n "${CC:-}" ] || command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || apt_install gcc libc6-dev

echo "Installing the pinned packages of requirements/$set_name.txt into .venv (a minute on a fresh machine) …" >&2
export PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
.venv/bin/python -m pip install --quiet --require-hashes -r "requirements/$set_name.txt"
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
# A start without compiled files takes four times as long, and the environment may forbid writing them later.
.venv/bin/python -m compileall -q src
touch ".venv/.installed-$set_name"
[ "$set_name" != dev ] || touch .venv/.installed-build # dev holds all that build holds
