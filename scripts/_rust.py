"""What scripts/lines, scripts/words and scripts/circles know of Rust and of the repository."""

import glob
import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Sources: the library and the crates, with the code of benchmarks. Tests and examples are not.
SOURCES = ["src", "benches", "crates/*/src", "crates/*/benches", "python/src"]

RAW_STRING = re.compile(r'(?:b|c)?r(#*)"')
CHAR = re.compile(r"b?'(?:\\(?:u\{[0-9a-fA-F_]*\}|x[0-9a-fA-F]{2}|.)|[^\\'\n])'", re.S)
WORD = re.compile(r"\w+")


def blank(text):
    """Returns spaces in place of text; its line ends stay."""
    return re.sub(r"[^\n]", " ", text)


def strip(text):
    """Returns the text without comments, and the same without the contents of literals, too.

    Both have every character that stays where it was.
    """
    code, bare = [], []
    i, n = 0, len(text)

    def put(end, keep, literal=False):
        nonlocal i
        piece = text[i:end]
        code.append(piece if keep else blank(piece))
        # A literal leaves a mark, so that what follows is not taken for what stood before it.
        bare.append(re.sub(r"[^\n]", '"', piece) if literal else piece if keep else blank(piece))
        i = end

    while i < n:
        two = text[i : i + 2]
        if two == "//":
            end = text.find("\n", i)
            put(n if end < 0 else end, False)
        elif two == "/*":
            depth, at = 1, i + 2
            while depth and at < n:
                if text.startswith("/*", at):
                    depth, at = depth + 1, at + 2
                elif text.startswith("*/", at):
                    depth, at = depth - 1, at + 2
                else:
                    at += 1
            put(at, False)
        elif (m := RAW_STRING.match(text, i)) :
            end = text.find('"' + m.group(1), m.end())
            put(n if end < 0 else end + 1 + len(m.group(1)), True, True)
        elif text[i] == '"' or two in ('b"', 'c"'):
            at = text.index('"', i) + 1
            while at < n and text[at] != '"':
                at += 2 if text[at] == "\\" else 1
            put(at + 1, True, True)
        elif (text[i] == "'" or two == "b'") and (m := CHAR.match(text, i)):
            put(m.end(), True, True)
        elif (m := WORD.match(text, i)):
            put(m.end(), True)
        else:
            put(i + 1, True)
    return "".join(code), "".join(bare)


def matching(bare, at):
    """Returns the position after the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(bare)):
        if bare[i] in "([{":
            depth += 1
        elif bare[i] in ")]}":
            depth -= 1
            if not depth:
                return i + 1
    return len(bare)


def item_end(bare, at):
    """Returns where the item that begins at `at`, perhaps with attributes, ends."""
    while at < len(bare):
        if bare[at] == "#":
            at = matching(bare, bare.index("[", at))
        elif bare[at] in "([":
            at = matching(bare, at)
        elif bare[at] == "{":
            at = matching(bare, at)
            # `use a::{b, c};`, and not `struct A {}`.
            rest = re.compile(r"\s*;").match(bare, at)
            return rest.end() if rest else at
        elif bare[at] in ";,":
            return at + 1
        elif bare[at] in ")]}":
            return at
        else:
            at += 1
    return len(bare)


def needs_test(predicate):
    """Returns whether a cfg predicate holds in tests alone."""
    predicate = predicate.strip()
    if predicate == "test":
        return True
    if not predicate.startswith("all(") or not predicate.endswith(")"):
        return False
    depth, parts = 0, [""]
    for c in predicate[4:-1]:
        depth += (c == "(") - (c == ")")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return any(needs_test(part) for part in parts)


TEST = re.compile(r"#\s*\[\s*(cfg\s*\(|test\s*\])")
MOD = re.compile(r"\bmod\s+(\w+)\s*;")


class File:
    """A source file: `code` and `bare` as `strip` returns them, without what is for tests alone."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        self.code, self.bare = strip(text)
        # Modules in files of their own that are for tests alone.
        self.test_modules = []
        at = 0
        while (m := TEST.search(self.bare, at)) :
            at = m.end()
            if m.group(1).startswith("cfg"):
                opening = m.end() - 1
                predicate = self.code[opening + 1 : matching(self.bare, opening) - 1]
                if not needs_test(predicate):
                    continue
            end = item_end(self.bare, m.start())
            self.test_modules += self.modules(m.start(), end)
            for name in ("code", "bare"):
                whole = getattr(self, name)
                setattr(self, name, whole[: m.start()] + blank(whole[m.start() : end]) + whole[end:])
        if re.search(r"#!\s*\[\s*cfg\s*\(\s*test\s*\)", self.bare):
            self.code = self.bare = blank(text)

    def modules(self, start=0, end=None):
        """Returns what the modules declared here, with files of their own, may be called there."""
        found, end = [], len(self.bare) if end is None else end
        for m in MOD.finditer(self.bare, start, end):
            attributes = self.code[self.code.rfind(";", start, m.start()) + 1 : m.start()]
            path = re.search(r'\bpath\s*=\s*"([^"]*)"\s*\]\s*[^;{}]*$', attributes)
            if path:
                folder = os.path.dirname(self.path)
                found.append((m.group(1), [os.path.normpath(os.path.join(folder, path.group(1)))]))
            else:
                base = os.path.join(self.folder(), m.group(1))
                found.append((m.group(1), [base + ".rs", os.path.join(base, "mod.rs")]))
        return found

    def lines(self):
        """Returns the number of lines with code."""
        return sum(1 for line in self.code.split("\n") if line.strip())

    def folder(self):
        """Returns the folder in which this file's modules are."""
        folder, name = os.path.split(self.path)
        if name in ("mod.rs", "lib.rs", "main.rs"):
            return folder
        return os.path.join(folder, name[:-3])


def sources(root):
    """Returns the source files below `root` by path, without those for tests alone."""
    files = {}
    for pattern in SOURCES:
        for folder in glob.glob(os.path.join(root, pattern)):
            for path in glob.glob(os.path.join(folder, "**", "*.rs"), recursive=True):
                with open(path, encoding="utf-8") as file:
                    relative = os.path.relpath(path, root)
                    files[relative] = File(relative, file.read())
    # A file is for tests alone if only declarations for tests name it. Then so are its modules.
    gone = {path for file in files.values() for _, paths in file.test_modules for path in paths}
    gone -= {path for file in files.values() for _, paths in file.modules() for path in paths}
    while gone:
        file = files.pop(gone.pop(), None)
        gone |= {path for _, paths in file.modules() for path in paths} if file else set()
    return dict(sorted(files.items()))


@contextmanager
def tree(name):
    """Gives the root of a tree: a folder as it is, or a commit unpacked into a temporary folder."""
    if os.path.isdir(name):
        yield name
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.Popen(["git", "-C", ROOT, "archive", name], stdout=subprocess.PIPE)
        unpack = subprocess.run(["tar", "-x", "-C", folder], stdin=archive.stdout)
        if archive.wait() or unpack.returncode:
            sys.exit(f"{name} is neither a folder nor a commit")
        yield folder
