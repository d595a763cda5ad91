# SPDX-License-Identifier: MIT
"""What every source file keeps to."""

import re

import pytest

from house import LAYERS, ROOT, files, sources

MAX_LINES = 800
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
