# SPDX-License-Identifier: MIT
"""What the README and the manual pages tell a stranger to type, typed: on a server, at home and on another server, which
systemd runs."""

import re

import pytest

from support.debian import running_release
from support.docs import block, blocks, examples, nginx_of_recipe, sections
from support.lines import Origin, visit
from support.netns import Router, needs_namespaces
from support.origins import curl
from support.process import SANITIZED, Process, wait_until
from support.systemd import Machine, with_towonel

NAME = "app.alice.example.eu"
README = sections("README.md")
pytestmark = [needs_namespaces, pytest.mark.skipif(SANITIZED, reason="what people run is tried"),
              pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    return with_towonel(running_release(), tmp_path_factory.mktemp("installed"))


@pytest.fixture
def make_machine(trees, tmp_path, stack):
    router = Router(stack)

    def make(name):
        machine = Machine(trees, tmp_path, stack, router.host(name))
        machine.start = lambda command, start=machine.start: stack.enter_context(
            Running(start(command, tmp_path / f"{name}.log")))
        return machine
    return make


class Running:
    """Ends a process with the test."""

    def __init__(self, process):
        self._process = process

    def __enter__(self):
        return self._process

    def __exit__(self, *_):
        self._process.kill()


def a_token(text):
    return re.search(r"^(tt_\w+_2_\S+)$", text, re.M)[1]


def with_token(command, token):
    assert "tt_" in command
    return re.sub(r"tt_\w+_2_\.\.\.", token, command)


@pytest.fixture
def web_server(stack, authority, tmp_path):
    """At home, as the recipe for nginx has it."""
    def make(machine):
        with machine.network:
            nginx = Process(nginx_of_recipe(tmp_path, authority.issue(NAME)), tmp_path / "nginx.log")
        stack.callback(nginx.kill)
    return make


# Three commands each: the node, the invite, the agent.
GUIDES = {
    "README": blocks(README["First ten minutes"]),
    "manual": [*re.split(r"(?<=towonel-node\n)", examples("towonel-node.8")[0]), *examples("towonel-agent.8")],
}


@pytest.mark.parametrize("guide", GUIDES)
def test_first_ten_minutes(guide, make_machine, web_server, authority):
    node, invite, agent = GUIDES[guide]
    server, home = make_machine("server"), make_machine("home")
    web_server(home)
    running = server.start(node)
    running.wait_log("What comes next:")
    token = a_token(server.run("sh", "-euc", invite, check=True).stdout)
    home.write("/etc/towonel/services.json", re.search(r"AGENT_SERVICES='(.*)'", GUIDES["README"][2])[1])
    home.start(with_token(agent, token)).wait_log("services are registered")
    with home.network:
        answer = wait_until(lambda: (done := curl(NAME, 443, host=server.network.address, cacert=authority.cert)
                                     ).returncode == 0 and done.stdout, "it is answered from home")
    assert answer == f"{home.network.address}\n"
    wait_until(lambda: server.run("towonel", "status").returncode == 0, "the hub has heard of all")
    for machine in (server, home):
        with open(machine.path("/etc/hosts"), "a") as file:
            file.write(f"{server.network.address} {NAME}\n")
        assignments = agent[:agent.index("towonel-agent")].replace("\\\n", "") if machine is home else ""
        doctor = with_token(assignments, token) if assignments else ""
        done = machine.run("sh", "-euc", doctor + block(sections("docs/troubleshooting.md")[""]))
        assert done.returncode == 0, done.stdout + done.stderr
    for command in examples("towonel.1")[0].replace("alice", "bob").splitlines():
        server.run("sh", "-euc", command.replace("tt_inv_2_...", token), check=True)
    # What was tried by hand becomes a service.
    server.run("sh", "-euc", "kill $(pidof towonel-node)", check=True)
    running.wait()
    server.systemctl("start", "towonel-node")
    with home.network:
        wait_until(lambda: curl(NAME, 443, host=server.network.address, cacert=authority.cert).stdout == answer,
                   "it is answered again")


def test_an_edge_on_another_server(make_machine, stack):
    server, other = make_machine("server"), make_machine("other")
    server.start(GUIDES["README"][0]).wait_log("What comes next:")
    at_the_hub, there = block(README["Edges on other servers"]).splitlines()
    token = a_token(server.run("sh", "-euc", at_the_hub, check=True).stdout)
    edge = other.start(with_token(there, token))
    edge.wait_log("edge is up")
    invite = server.run("sh", "-euc", GUIDES["README"][1], check=True).stdout
    with server.network:
        origin = Origin("origin")
    stack.callback(origin.close)
    agent = GUIDES["README"][2].replace("127.0.0.1:8443\"", f"{origin.address}\",\"proxy_protocol\":\"none\"")
    server.start(with_token(agent, a_token(invite)))
    with other.network:
        wait_until(lambda: visit(443, NAME) == "origin", "the other edge serves")
