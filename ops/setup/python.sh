# Sourced by the commands in ops/: leaves in $PYTHON a Python that can run them, or says how to get one.
# A candidate is tried by running it: a version manager's shim may exist and still refuse.

suits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))'
PYTHON=
for candidate in ${ARENA_PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
    if path=$(command -v "$candidate" 2>/dev/null) && "$path" -c "$suits" >/dev/null 2>&1; then
        PYTHON=$path
        break
    fi
done
if [ -z "$PYTHON" ] && command -v py >/dev/null 2>&1; then
    PYTHON=$(py -3 -c 'import sys; print(sys.executable)' 2>/dev/null)
    "$PYTHON" -c "$suits" >/dev/null 2>&1 || PYTHON=
fi
if [ -z "$PYTHON" ]; then
    found=$(python3 --version 2>/dev/null || echo 'none')
    {
        echo "The arena needs Python 3.11 to 3.14; found: $found."
        echo "  Debian, Ubuntu: sudo apt-get install python3 python3-venv"
        echo "  Fedora:         sudo dnf install python3.13"
        echo "  macOS:          brew install python@3.13"
        echo "If one is installed elsewhere, name it: ARENA_PYTHON=/path/to/python3.13 $0"
    } >&2
    exit 1
fi
