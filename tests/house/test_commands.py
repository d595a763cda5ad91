# SPDX-License-Identifier: MIT
"""Every command that the guides tell people to type is run by a test, or it is said here why none can."""

import re

import pytest

from house import ROOT, files

QUICK, SYSTEMD, DOCS = "test_quick_start.py::", "test_systemd.py::", "test_docs.py::"
NO_CLUSTER = "no cluster is here; test_kubernetes.py of this folder holds the manifests against their schema"

# {guide: {heading: [who runs each block]}}; what is not the name of a test is a reason.
RUN_BY = {
    "README.md": {
        "": [DOCS + "test_the_demo"],
        "First ten minutes": 3 * [QUICK + "test_first_ten_minutes"],
        "Services": 3 * [DOCS + "test_services"],
        "As services": [SYSTEMD + "tunnel"],
        "The hub's database": ["test_postgres.py::test_the_settings_of_the_readme"],
        "Edges on other servers": [QUICK + "test_an_edge_on_another_server"],
    },
    "docs/kubernetes.md": {
        "A node": [NO_CLUSTER],
        "Agents": [NO_CLUSTER],
    },
    "docs/operations.md": {
        "Is it well?": [DOCS + "test_is_it_well", "test_status_page.py::test_a_browser_and_a_hub_without_a_certificate",
                         DOCS + "test_the_page_by_ssh"],
        "Backup": [DOCS + "test_backup_and_restore"],
        "Restore": [DOCS + "test_backup_and_restore"],
        "Upgrade": [SYSTEMD + "test_a_reload_hands_over_and_drops_nobody"],
    },
    "docs/troubleshooting.md": {
        "": [QUICK + "test_first_ten_minutes"],
    },
    # Each recipe's settings; what else a recipe has is no shell's.
    "docs/recipes.md": None,
    "docs/man/towonel.1": {"EXAMPLES": [QUICK + "test_first_ten_minutes"]},
    "docs/man/towonel-agent.8": {"EXAMPLES": [QUICK + "test_first_ten_minutes"]},
    "docs/man/towonel-node.8": {"EXAMPLES": [QUICK + "test_first_ten_minutes"]},
    "docs/man/towonel-services.5": {"EXAMPLES": 2 * [DOCS + "test_services"]},
    "docs/man/libtowonel-agent.3": {"EXAMPLES": ["a program, of which examples/ has whole ones"]},
}


def told(path):
    """{heading: how many blocks}"""
    text, manual = path.read_text(), path.suffix in (".1", ".3", ".5", ".8")
    heading, block = (r"^\.Sh (.*)$", r"^\.Bd -literal") if manual else (r"^##+ (.*)$", r"^```sh$")
    parts = re.split(heading, text, flags=re.M)
    counts = {name: len(re.findall(block, text, re.M)) for name, text in zip(["", *parts[1::2]], parts[::2])}
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("path", files("README.md", "docs/*.md", "docs/man/*"), ids=lambda path: path.name)
def test_all_are_run(path):
    name = str(path.relative_to(ROOT))
    assert name in RUN_BY or not told(path)
    if RUN_BY.get(name):
        assert told(path) == {heading: len(tests) for heading, tests in RUN_BY[name].items()}


def test_by_tests_that_there_are():
    for sections in filter(None, RUN_BY.values()):
        for test in {test for tests in sections.values() for test in tests if "::" in test}:
            file, function = test.split("::")
            assert re.search(rf"^def {function}\(", (ROOT / "tests/e2e" / file).read_text(), re.M), test


def test_recipes_are_run_as_they_stand():
    """By test_services, which takes the first block of each; none has a second."""
    assert set(told(ROOT / "docs/recipes.md").values()) == {1}
