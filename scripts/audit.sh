#!/bin/sh
# Are there known vulnerabilities in the packages that are pinned? Asks OSV; says so and goes on where that cannot be reached.
set -eu
cd "$(dirname "$0")/.."
url=${OSV_URL:-https://api.osv.dev/v1/query}
python=${PYTHON:-.venv/bin/python}

if ! reason=$("$python" - "$url" 2>&1 <<'PY'
import json
import sys
import urllib.request

asked = json.dumps({"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "0"}).encode()
request = urllib.request.Request(sys.argv[1], asked, {"Content-Type": "application/json"})
try:
    with urllib.request.urlopen(request, timeout=5) as answer:
        json.load(answer)
except (OSError, ValueError) as error:
    sys.exit(f"{type(error).__name__}: {error}")
PY
); then
    echo "SKIPPED: no dependency audit, since $url cannot be asked from here ($reason). Run it where it can: make audit"
    exit 0
fi
exec "$python" -m pip_audit --vulnerability-service osv --osv-url "$url" --requirement "${1:-requirements/dev.txt}" \
    --require-hashes --no-deps --disable-pip --progress-spinner off --timeout 10
