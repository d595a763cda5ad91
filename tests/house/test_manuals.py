# SPDX-License-Identifier: MIT
"""The manual pages name what the programs have, all of it and nothing else.

A setting is an `.It Ev NAME Pq Ql DEFAULT` in the page of its program, a command an `.It Cm WORDS Fl -OPTION ...`,
a metric an `.It Va NAME Pq Va LABELS`, a key of a service an `.It Ic NAME`."""

import re

import pytest

from house import BUILD, ROOT, exports, files, run
from support.towonel import Agent, Node

PAGES = files("docs/man/*")
METRICS = {"node": "towonel-node.8", "agent": "towonel-agent.8"}


def page(name):
    """Without what keeps roff from taking a character for a macro."""
    return (ROOT / "docs/man" / name).read_text().replace("\\&", "")


def items(name, macro):
    """{first word: what follows on the line} of the items that begin with the macro."""
    return dict(re.findall(rf"^\.It {macro} (\S+) ?(.*)$", page(name), re.M))


def metrics_in(text):
    return set(re.findall(r"^# TYPE (\w+)", text, re.M))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_are_in_order(path):
    done = run("mandoc", "-T", "lint", "-W", "warning", path)
    assert done == ""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_our_pages_that_a_page_names_are_there(path):
    for name, section in re.findall(r"^\.Xr (\S*towonel\S*) (\d)", path.read_text(), re.M):
        assert path.with_name(f"{name}.{section}").exists(), f"{name}({section})"


@pytest.mark.parametrize("program", ["node", "agent"])
def test_settings(program):
    known = dict(re.findall(r"^  (TOWONEL_\w+)(?: \(default: (.*)\))?$",
                            run(BUILD / f"towonel-{program}", "--help"), re.M))
    told = {name: rest.removeprefix("Pq Ql ") for name, rest in items(f"towonel-{program}.8", "Ev").items()}
    assert told == known


def commands():
    listed = re.findall(r"^  ([a-z][a-z-]+(?: [a-z-]+)?)  +\S", run(BUILD / "towonel", "--help"), re.M)
    assert "invite create" in listed
    return listed


def told_commands():
    """{"invite create": {"--name", ...}}"""
    lines = re.findall(r"^\.It Cm ((?:[a-z-]+ ?)+)(.*)$", page("towonel.1"), re.M)
    return {words.strip(): {"-" + flag for flag in re.findall(r"\bFl (-[a-z-]+)", rest)} for words, rest in lines}


def test_commands():
    assert set(told_commands()) == set(commands())


@pytest.mark.parametrize("command", [name for name in told_commands() if name != "serve"])
def test_options_of_a_command(command):
    usage = run(BUILD / "towonel", *command.split(), "--help").split("\n\n")[0]
    assert told_commands()[command] == set(re.findall(r"--[a-z-]+", usage))


def test_options_of_many_commands():
    common = set(re.findall(r"^  (--[a-z-]+)", run(BUILD / "towonel", "--help"), re.M))
    assert {"-" + flag for flag in items("towonel.1", "Fl")} == common | {"--help"}


def test_keys_of_services():
    source = (ROOT / "libtowonel-wire/src/service.c").read_text()
    arrays = re.findall(r"\bkeys\[\] = \{(.*?)\};", source, re.S)
    known = {key for array in arrays for key in re.findall(r'"(\w+)"', array)} - {"mode"}
    assert {"hostname", "listen_port"} <= known
    assert set(items("towonel-services.5", "Ic")) == known


def test_functions_of_the_agent_library():
    text = page("libtowonel-agent.3")
    assert set(re.findall(r"^\.Nm (\w+)", text, re.M)) == exports("agent")
    assert set(re.findall(r"^\.F[no] (tow_\w+)", text.split(".Sh DESCRIPTION")[0], re.M)) == exports("agent")


def test_config_and_events_of_the_agent_library():
    header = re.sub(r"/\*.*?\*/", "", (ROOT / "libtowonel-agent/include/towonel/agent.h").read_text(), flags=re.S)
    struct = re.search(r"struct tow_agent_config \{(.*?)^\};", header, re.M | re.S).group(1)
    members = {re.search(r"\(\*(\w+)\)|(\w+)$", part.strip()).group().strip("(*)")
               for part in re.sub(r"\)\(.*?\)", ")", struct, flags=re.S).split(";") if part.strip()}
    assert set(items("libtowonel-agent.3", "Va")) == members
    kinds = re.search(r"enum tow_agent_event_kind \{(.*?)\}", header, re.S).group(1)
    assert set(items("libtowonel-agent.3", "Dv")) == set(re.findall(r"TOW_AGENT_\w+", kinds))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """What the listeners of a node and an agent print."""
    where = tmp_path_factory.mktemp("running")
    node = Node(where).start()
    agent = Agent(where, node.invite("app.example.eu"), [{"hostname": "app.example.eu", "origin": "127.0.0.1:9"}])
    try:
        agent.start()
        yield {"node": metrics_in(node.hub_metrics()) | metrics_in(node.edge_metrics()),
               "agent": metrics_in(agent.metrics())}
    finally:
        if agent.process:
            agent.kill()
        node.kill()


@pytest.mark.parametrize("program", METRICS)
def test_metrics_that_run(running, program):
    assert running[program]
    untold = running[program] - set(items(METRICS[program], "Va"))
    assert not untold


def test_metrics_in_the_sources(running):
    """Those that are made later, and none that nobody makes."""
    source = "".join(path.read_text() for path in files("libtowonel-*/src/*.c", "bin/*.c"))
    named = set(re.findall(r'"(towonel_(?:hub|edge|agent)_\w+)"', source)) - {"towonel_edge_quic", "towonel_agent_quic"}
    told = {name for manual in METRICS.values() for name in items(manual, "Va")}
    untold, unmade = named - told, told - named - running["node"] - running["agent"]
    assert not untold
    assert not unmade
