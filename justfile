# For people with `just`: each recipe is a script that can be run without it.

# Lists the recipes.
default:
    @just --list

# Runs every check, or the jobs that are named: `just ci clippy tests`.
ci *jobs:
    .ci/run {{jobs}}

# Runs the tests of the library and the tool.
test *args:
    cargo test {{args}}

# Formats all code.
format:
    cargo fmt --all
    cd fuzz && cargo fmt

# Measures the maps: `just bench --suite threads`.
bench *args:
    cargo run --release -- bench {{args}}

# Prints code lines, vague words, and circles of files.
figures:
    -scripts/lines
    -scripts/words
    -scripts/circles

# Compares instructions and bytes with those checked in.
guard:
    scripts/instructions
    scripts/bytes

# Explores the models of the concurrent parts.
models: (ci "loom" "shuttle")
