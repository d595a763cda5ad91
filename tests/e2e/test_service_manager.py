# SPDX-License-Identifier: MIT
"""What the programs tell a service manager: here a socket of the test's own in its place."""

import os
import signal
import socket
import time

import pytest

from support.process import PATIENCE, run, wait_until

NAME = "app.alice.example.eu"


class Manager:
    """Hears what is told; address is for NOTIFY_SOCKET."""

    def __init__(self, address):
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(PATIENCE)

    def hear(self, wanted):
        """Waits for a line; all that came until then."""
        heard = []
        while wanted not in heard:
            heard += self.socket.recv(4096).decode().split("\n")
        return heard

    def hear_more(self):
        """What has come already."""
        heard = []
        self.socket.setblocking(False)
        try:
            while True:
                heard += self.socket.recv(4096).decode().split("\n")
        except BlockingIOError:
            return heard
        finally:
            self.socket.settimeout(PATIENCE)


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, stack):
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@towonel-test-{os.getpid()}")
    stack.callback(made.socket.close)
    return made


def test_a_node(make_node, manager):
    node = make_node(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="200000")
    manager.hear("READY=1")
    for _ in range(3):
        manager.hear("WATCHDOG=1")
    node.process.signal(signal.SIGTERM)
    manager.hear("STOPPING=1")
    assert node.process.wait() == 0


def test_a_process_that_takes_over_is_the_main_one(make_node, manager):
    node = make_node(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="200000")
    manager.hear("READY=1")
    # what reloads a service is told neither
    assert node.take_over(NOTIFY_SOCKET=None, WATCHDOG_USEC=None) == 0
    heard = manager.hear(f"MAINPID={node.process.pid}") + manager.hear("READY=1")
    assert "STOPPING=1" not in heard
    manager.hear("WATCHDOG=1")
    assert node.befores[0].wait() == 0
    node.process.stop()
    assert "STOPPING=1" in manager.hear_more()


def test_an_agent(make_node, make_agent, manager, tmp_path):
    services = tmp_path / "services.json"
    services.write_text('[{"hostname":"%s","origin":"127.0.0.1:9"}]' % NAME)
    agent = make_agent(make_node().invite(NAME), f"@{services}", NOTIFY_SOCKET=manager.address,
                       WATCHDOG_USEC="200000")
    manager.hear("READY=1")
    manager.hear("STATUS=Serving.")
    for _ in range(3):
        manager.hear("WATCHDOG=1")
    assert "services are as before" not in agent.process.log()  # a watchdog is no reload
    agent.process.signal(signal.SIGHUP)
    heard = manager.hear("RELOADING=1")
    heard += manager.hear("READY=1") + manager.hear_more()
    assert any(line.startswith("MONOTONIC_USEC=") for line in heard)
    assert "services are as before" in agent.process.log()
    agent.process.signal(signal.SIGTERM)
    manager.hear("STOPPING=1")
    assert agent.process.wait() == 0


def test_a_node_that_hangs_is_not_vouched_for(make_node, manager):
    """The watchdog hears from the loop itself."""
    node = make_node(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="200000")
    manager.hear("WATCHDOG=1")
    node.process.signal(signal.SIGSTOP)
    time.sleep(0.3)
    manager.hear_more()
    time.sleep(1)
    assert manager.hear_more() == []
    node.process.signal(signal.SIGCONT)
    manager.hear("WATCHDOG=1")


def test_another_process_watchdog_is_not_ours(make_node, manager):
    node = make_node(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="100000", WATCHDOG_PID="1")
    manager.hear("READY=1")
    time.sleep(0.5)
    assert manager.hear_more() == []
    assert node.process.running()


def test_a_token_in_a_file(make_node, make_agent, tmp_path):
    token = tmp_path / "token"
    token.write_text(make_node().invite(NAME) + "\n")
    agent = make_agent(f"@{token}", [{"hostname": NAME, "origin": "127.0.0.1:9"}])
    wait_until(lambda: agent.ready()[0] == 200, "the agent is ready")
    missing = make_agent(f"@{tmp_path}/none", [], wait=False)
    assert missing.process.wait() == 2
    assert f"TOWONEL_INVITE_TOKEN: cannot read {tmp_path}/none: " in missing.process.log()


def test_the_images_health_check(make_node):
    node = make_node()
    ready = os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "docker", "ready")
    ports = [node.hub_health_port, node.edge_health_port]
    assert run([ready, *ports]).returncode == 0
    node.process.signal(signal.SIGTERM)
    node.process.wait()
    assert run([ready, *ports]).returncode == 1
