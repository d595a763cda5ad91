# SPDX-License-Identifier: MIT
"""What people are told to type: the blocks of the guides and of the manual pages, as they stand there."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def _read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def sections(guide):
    """{heading: text}; what is before the first one is under ""."""
    parts = re.split(r"^##+ (.*)$", "## \n" + _read(guide), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def blocks(text, language="sh"):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def block(text, language="sh"):
    return blocks(text, language)[0]


def examples(page):
    """The same of a page of docs/man."""
    found = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", _read(f"docs/man/{page}"), re.M | re.S)
    return [text.replace("\\e", "\\") for text in found]


def settings(text):
    """Those that a block assigns."""
    return dict(re.findall(r"^(TOWONEL_\w+)='?(.*?)'?$", re.sub(r"\n +|\n(?=\])", "", text), re.M))
