# SPDX-License-Identifier: MIT
"""The static agent and command line, in a directory that has nothing but them."""

import os
import re
import shutil

import pytest

from support.lines import Origin, visit
from support.process import SANITIZED, Process, end, run, wait_until
from support.towonel import Agent

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAME = "app.alice.example.eu"
pytestmark = pytest.mark.skipif(SANITIZED, reason="static programs are what people run")


@pytest.fixture(scope="module")
def programs():
    """Where they are, made of the sources as they are; the libraries under them take minutes, and have to be there."""
    home = {"HOME": os.environ["HOME"]}
    deps = run([f"{ROOT}/scripts/deps", "--static", "--where"], env=home, check=True).stdout.strip()
    if not os.path.exists(f"{deps}/complete"):
        pytest.skip("make static has not been run")
    run(["make", "-C", ROOT, "--no-print-directory", "STATIC=1", "NO_PACKAGES=1", "static-programs"], env=home,
        timeout=280, check=True)
    return f"{ROOT}/build-static/stripped"


def test_their_size(programs):
    size = os.path.getsize(f"{programs}/towonel-agent")
    assert size < 4_000_000
    with open(f"{ROOT}/README.md") as file:
        told = re.search(r"`make static` builds.*?\(([\d.]+) MB", file.read(), re.S).group(1)
    assert abs(float(told) - size / 1e6) < 0.3


def test_they_need_nothing(programs):
    for name in ("towonel-agent", "towonel"):
        told = run(["readelf", "-lhd", f"{programs}/{name}"], check=True).stdout
        assert "INTERP" not in told and "(NEEDED)" not in told
        assert "DYN (" in told and "PIE" in told, "it is not where it was the last time"


class Jailed(Agent):
    def start(self, wait=True):
        self.process = Process(["chroot", self.jail, "/towonel-agent"], self.log_path, env=self.env)
        self.wait_ready()
        return self


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_an_agent_in_an_empty_directory(programs, make_node, tmp_path, stack):
    jail = tmp_path / "jail"
    jail.mkdir()
    for name in ("towonel-agent", "towonel"):
        shutil.copy(f"{programs}/{name}", jail)
    node = make_node(start=False)
    node.env["TOWONEL_HUB_PUBLIC_URL"] = f"https://hub.example.eu:{node.hub_port}"
    node.start()
    origin = Origin("origin")
    stack.callback(origin.close)
    agent = Jailed(tmp_path, node.invite(NAME), [origin.service(NAME)])
    agent.jail = jail

    # It knows no names yet: no hosts, and no DNS server, which would be this host's.
    done = run(["chroot", jail, "/towonel", "doctor", "--agent", "--json"], env=agent.env)
    assert done.returncode == 1 and "cannot be resolved" in done.stdout, done.stdout
    (jail / "etc").mkdir()
    (jail / "etc/hosts").write_text(f"127.0.0.1 hub.example.eu {NAME}\n")
    stack.callback(end, agent)
    agent.start()
    assert wait_until(lambda: visit(node.edge_port, NAME) == "origin", "the agent serves")
    done = run(["chroot", jail, "/towonel", "doctor", "--agent"], env=agent.env)
    assert done.returncode == 0, done.stdout
