#!/bin/sh
# Makes an environment and installs requirements/NAME.txt and this project into it, unless that has been done already.
#     sh requirements/install.sh NAME [FOLDER]
# FOLDER is .venv without it. PYTHON names the interpreter to make it from. Mirrors and certificates are taken from uv's
# and pip's own settings.
set -eu
cd "$(dirname "$0")/.."
name=$1
python=${PYTHON:-python3}
venv=${2:-.venv}
stamp=$venv/$(basename "$name").stamp
log=$venv/$(basename "$name").log

stop() {
    printf '%s\n' "$1" >&2
    exit 1
}

# A virtual environment does not survive a move, nor the end of the Python that it was made from.
usable() { grep -qF "$(pwd -P)/$venv" "$venv/bin/activate" && "$venv/bin/python" -c 'import pip'; } 2>/dev/null
wanted=$(cat requirements/uv.txt "requirements/$name.txt" pyproject.toml | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && usable; then exit 0; fi

if ! usable; then
    command -v "$python" >/dev/null 2>&1 ||
        stop "There is no $python here: install Python 3.10 or newer, or name one with PYTHON=/path/to/python."
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
        stop "$python does not start: install Python 3.10 or newer, or name one with PYTHON=/path/to/python."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        stop "$python is Python $version: install Python 3.10 or newer, or name one with PYTHON=/path/to/python."
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        stop "Python $version lacks its venv module: install it (on Debian and Ubuntu: apt-get install python$version-venv)."
    echo "Making $venv with Python $version"
    "$python" -m venv --clear "$venv"
fi

# The files name every requirement, so uv looks for no others. PySpark comes as source: 400 MB of jars, which are
# compressed already and which its wheel need not compress again.
stored="--config-settings-package=pyspark:--build-option=--compression=stored"
with_uv() { "$venv/bin/uv" pip install --python "$venv/bin/python" "$@"; }
with_pip() { "$venv/bin/python" -m pip install "$@"; }
install() {
    with_pip --requirement requirements/uv.txt &&
        # pip may know a mirror that uv has not been told about.
        { with_uv --no-deps "$stored" --requirement "$1" || with_pip --no-deps --requirement "$1"; } &&
        { with_uv --no-deps --editable . || with_pip --no-deps --editable .; }
}

echo "Installing requirements/$name.txt into $venv"
if ! install "requirements/$name.txt" >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    stop "The installation failed: $log has everything that pip and uv said."
fi
printf '%s\n' "$wanted" >"$stamp"
