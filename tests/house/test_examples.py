# SPDX-License-Identifier: MIT
"""The settings files in examples/ name what the programs know, with the defaults that they have."""

import re

import pytest

from house import BUILD, ROOT, run


@pytest.mark.parametrize("name, program", [("node", "node"), ("edge", "node"), ("agent", "agent")])
def test_settings_files_agree_with_help(name, program):
    text = run(BUILD / f"towonel-{program}", "--help")
    known = dict(re.findall(r"^  (TOWONEL_\w+)(?: \(default: (.*)\))?$", text, re.M))
    assert known
    example = (ROOT / f"examples/{name}.env.example").read_text()
    lines = re.findall(r"^(#?)(TOWONEL_\w+)=(.*)$", example, re.M)
    assert lines
    for comment, setting, value in lines:
        assert setting in known, setting
        if comment and known[setting]:
            assert value == known[setting], f"{setting}: the default is {known[setting]}"
