# Sourced after common.sh by each job of the Python package: what these share.

command -v python3 >/dev/null || skip "python3 is not installed"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    skip "$(python3 --version) is older than 3.11"
package=$PWD/python
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Makes an environment with packages of PyPI.
environment() {
    python3 -m venv "$folder/$1" >/dev/null 2>&1 || return 1
    "$folder/$1/bin/pip" install --quiet --disable-pip-version-check --no-input \
        --only-binary=:all: "${@:2}"
}

# Builds the wheel, which is then "${wheel[0]}". Without optimization at link time, which takes a
# minute.
build_wheel() {
    export CARGO_PROFILE_RELEASE_LTO=false
    with python "" "$folder/build/bin/maturin" build --release --locked \
        --manifest-path "$package/Cargo.toml" --interpreter "$folder/build/bin/python" \
        --out "$folder/wheels"
    wheel=("$folder"/wheels/*.whl)
}
