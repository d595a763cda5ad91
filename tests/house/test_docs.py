# SPDX-License-Identifier: MIT
"""The guides name what there is: files, settings, commands, metrics, codes."""

import re

import pytest

from house import BUILD, ROOT, files, run

GUIDES = files("README.md", "CONTRIBUTING.md", "docs/*.md", "deploy/*")
IDS = [path.name for path in GUIDES]


def manuals():
    return "".join(path.read_text() for path in files("docs/man/*"))


@pytest.mark.parametrize("path", GUIDES, ids=IDS)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", GUIDES, ids=IDS)
def test_settings_and_metrics_are_known(path):
    """Each is an item of a manual page, which another test holds against the programs."""
    known = set(re.findall(r"^\.It (?:Ev|Va) (\w+)", manuals(), re.M)) | {"TOWONEL_TEST_LONG"}
    named = set(re.findall(r"\b(?:TOWONEL_[A-Z_]+[A-Z]|towonel_(?:hub|edge|agent)_\w+)\b(?!_?\.\.\.)", path.read_text()))
    assert not {name for name in named - known if not any(other.startswith(name + "_") for other in known)}


@pytest.mark.parametrize("path", GUIDES, ids=IDS)
def test_commands_are_known(path):
    listing = run(BUILD / "towonel", "--help")
    nouns = {line.split()[0] for line in re.findall(r"^  ([a-z].*)$", listing, re.M)}
    for noun, verb in re.findall(r"`towonel ([a-z][a-z-]+)(?: ([a-z-]+))?", path.read_text()):
        assert noun in nouns, noun
        assert not verb or re.search(rf"^  {noun} {verb}\b", listing, re.M), f"{noun} {verb}"


def test_error_codes_of_the_protocol():
    header = (ROOT / "libtowonel-wire/include/towonel/wire/control_message.h").read_text()
    codes = {code: name.lower().replace("_", " ") for name, code in re.findall(r"TOW_TUNNEL_(\w+) = (0x\w+)", header)}
    table = dict(re.findall(r"^\| (0x\w+) \| ([a-z ]+?) +\|", (ROOT / "docs/protocol.md").read_text(), re.M))
    assert len(codes) > 10
    assert table == codes


def test_operations_of_entries():
    source = (ROOT / "libtowonel-wire/src/entry.c").read_text()
    known = set(re.findall(r'^\s+\[TOW_ENTRY_\w+\] = \{ "(\w+)"', source, re.M))
    text = (ROOT / "docs/protocol.md").read_text()
    table = re.search(r"\| op \| members \|\n\|---\|---\|\n(.*?)\n\n", text, re.S).group(1)
    assert {op for row in table.splitlines() for op in re.findall(r"`(\w+)`", row.split("|")[1])} == known
