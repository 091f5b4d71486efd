"""What scripts/instructions and scripts/bytes share: the driver, and figures kept in a file."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(command, **options):
    """Runs a command in the root of the repository; returns what it prints, or ends this script."""
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)
    if result.returncode:
        sys.exit(f"{' '.join(command)}: failed with {result.returncode}")
    return result.stdout


def build_driver():
    """Builds crates/memkv-cli/examples/guard.rs and returns its path.

    One codegen unit and fat LTO, so that counts do not depend on which file holds a function.
    """
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    target = os.path.join(ROOT, target, "guard")
    environment = dict(
        os.environ,
        CARGO_TARGET_DIR=target,
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS="1",
        CARGO_PROFILE_RELEASE_LTO="fat",
        CARGO_PROFILE_RELEASE_STRIP="false",
        RUSTFLAGS="",
    )
    run(
        ["cargo", "build", "--release", "-p", "memkv-cli", "--example", "guard"],
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    return os.path.join(target, "release", "examples", "guard")


def read(path):
    """Returns the comment line of a file of figures, and its figures by name."""
    comment, figures = "", {}
    for line in open(path):
        if line.startswith("#"):
            comment = line[1:].strip()
        elif line.strip():
            name, value = line.split()[:2]
            figures[name] = int(value)
    return comment, figures


def compare(kind, comment, figures, update, allowed):
    """Prints figures beside those checked in, and ends the script.

    Fails where a figure is more than `allowed` (a factor) of the one checked in; with `allowed`
    None where it is another. `update` writes the figures instead.
    """
    path = os.path.join(ROOT, "scripts", kind + ".txt")
    if update:
        with open(path, "w") as out:
            out.write(f"# {comment}\n")
            for name, value in figures.items():
                out.write(f"{name} {value}\n")
        print(f"scripts/{kind}.txt written")
    was, known = read(path)
    print(f"now:        {comment}\nchecked in: {was}")
    wrong = [f"{name} is checked in, but no longer measured" for name in known if name not in figures]
    for name, value in figures.items():
        if name not in known:
            wrong.append(f"{name} is not checked in")
            continue
        ratio = value / known[name]
        print(f"{name:28} {value:14,} {ratio:8.4f}")
        if value > allowed * known[name] if allowed else value != known[name]:
            wrong.append(f"{name}: {value:,}, where {known[name]:,} is checked in ({ratio:.4f})")
    for line in wrong:
        print(f"FAILED: {line}")
    if wrong:
        print(f"If that is meant: scripts/{kind} --update, and say why in the commit message.")
        if comment != was:
            print("The circumstances in the first two lines differ; that may be the reason.")
    sys.exit(1 if wrong else 0)
