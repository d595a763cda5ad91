# SPDX-License-Identifier: MIT
"""The settings files in examples/ name what the programs know, with the defaults that they have."""

import re

import pytest

from house import BUILD, ROOT, run


@pytest.mark.parametrize("program", ["node", "agent"])
def test_settings_files_agree_with_help(program):
    text = run(BUILD / f"towonel-{program}", "--help")
    known = dict(re.findall(r"^  (TOWONEL_\w+)(?: \(default: (.*)\))?$", text, re.M))
    assert known
    example = (ROOT / f"examples/{program}.env.example").read_text()
    lines = re.findall(r"^(#?)(TOWONEL_\w+)=(.*)$", example, re.M)
    assert lines
    for comment, name, value in lines:
        assert name in known, name
        if comment and known[name]:
            assert value == known[name], f"{name}: the default is {known[name]}"
