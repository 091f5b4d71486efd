# Sourced by each job: goes to the root of the repository and defines what jobs share.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

target=${CARGO_TARGET_DIR:-$PWD/target}
[[ $target == /* ]] || target=$PWD/$target
host=$(rustc -vV | sed -n 's/^host: //p')
# Not for builds: what a person's shell sets would rebuild everything for each job.
unset RUSTFLAGS
# Nothing is built twice, and a panic says its line without debug information.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0

step() {
    printf '\n-- %s\n' "$1"
}

# Runs a command with flags of its own, in a target directory of its own: otherwise each job
# would rebuild everything for its flags. Jobs with the same name and flags share their builds.
with() {
    local name=$1 flags=$2
    shift 2
    CARGO_TARGET_DIR=$target/$name RUSTFLAGS=$flags "$@"
}

# Ends a job that cannot run here. `.ci/run` lists it as skipped.
skip() {
    printf '\n!!! SKIPPED: %s\n' "$1"
    exit 77
}

has_toolchain() {
    command -v rustup >/dev/null && rustup toolchain list 2>/dev/null | grep -q "^$1"
}
