# SPDX-License-Identifier: MIT
"""What every source file keeps to."""

import re

import pytest

from house import LAYERS, ROOT, files, sources

MAX_LINES = 800
MAX_COLUMNS = 100
MAX_COLUMNS_IN_TESTS = 120  # a row of a table is one line where it can be
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|atoi|atol|strtok|gets|alloca)\s*\(")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|not (yet )?implemented", re.I)


def c_files():
    return files("*.c", "*.h")


def without_comments_and_strings(text):
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: "\n" * m.group().count("\n"), text, flags=re.S)


def lines_with(pattern, text):
    return [f"{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)]


def collect(judge, paths):
    """{file: complaints} for those that have any."""
    judged = {str(path.relative_to(ROOT)): judge(path.read_text()) for path in paths}
    return {name: complaints for name, complaints in judged.items() if complaints}


def test_no_banned_function():
    assert not collect(lambda text: lines_with(BANNED, without_comments_and_strings(text)),
                       c_files())


def test_banned_functions_would_be_found():
    code = "x = atoi(s); tow_gets(x); p->gets(y); /* strcpy(a, b) */ f(\"sprintf(\");"
    assert BANNED.findall(without_comments_and_strings(code)) == ["atoi"]


def test_nothing_unfinished():
    own = ROOT / "tests/house/test_sources.py"
    paths = [path for path in files("*.c", "*.h", "*.py", "*.mk", "Makefile", "scripts/*", "*.sql")
             if path != own]
    assert not collect(lambda text: lines_with(UNFINISHED, text), paths)


def test_no_file_is_too_long():
    long = {str(path.relative_to(ROOT)): count for path in files("*.c", "*.h", "*.py")
            if (count := len(path.read_text().splitlines())) > MAX_LINES}
    assert not long


def layout(text, columns):
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if len(line.expandtabs(8)) > columns:
            found.append(f"{number}: longer than {columns} columns")
        if line != line.rstrip():
            found.append(f"{number}: blanks at the end")
        if line.startswith("    ") and line[4:5] not in ("*", " "):
            found.append(f"{number}: indented with blanks")
    if text and not text.endswith("\n"):
        found.append("no newline at the end")
    return found


def test_layout():
    tests = [path for path in c_files() if path.is_relative_to(ROOT / "tests")]
    others = [path for path in c_files() if path not in tests]
    assert not collect(lambda text: layout(text, MAX_COLUMNS), others)
    assert not collect(lambda text: layout(text, MAX_COLUMNS_IN_TESTS), tests)


def test_licence_line():
    missing = [str(path) for path in files("*.c", "*.h", "*.py", "*.mk", "Makefile", "scripts/*")
               if path.suffix not in (".lock", ".debian") and
               "SPDX-License-Identifier: MIT" not in "\n".join(path.read_text().splitlines()[:3])]
    assert not missing


@pytest.mark.parametrize("lib", LAYERS)
def test_every_source_is_listed(lib):
    there = {str(path.relative_to(ROOT / f"libtowonel-{lib}"))
             for path in files(f"libtowonel-{lib}/src/*.c")}
    assert set(sources(lib)) == there
