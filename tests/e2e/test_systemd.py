# SPDX-License-Identifier: MIT
"""The units under systemd itself, on a machine that it runs: as `make install` and the README have them."""

import contextlib
import os
import re
import time

import pytest

from support.debian import RELEASES, tried
from support.docs import block, sections
from support.lines import Origin, Visitor, visit
from support.load import Load
from support.netns import needs_namespaces
from support.process import SANITIZED, run, wait_until
from support.systemd import Machine, with_towonel
from support.towonel import http_get

NAME = "app.alice.example.eu"
NODE, AGENT = "towonel-node.service", "towonel-agent.service"
WATCHDOG = 5  # seconds: a busy machine is no reason to bite
pytestmark = [needs_namespaces, pytest.mark.skipif(SANITIZED, reason="units are of what people run"),
              pytest.mark.timeout(600)]

# Up to the token, and from there on.
ON_THE_SERVER, AT_HOME = re.fullmatch(r"(.*?)(^install .*)", block(sections("README.md")["As services"]),
                                      re.M | re.S).groups()


@pytest.fixture(scope="module", params=map(tried, RELEASES))
def trees(request, tmp_path_factory):
    return with_towonel(request.param, tmp_path_factory.mktemp("installed"))


@pytest.fixture
def machine(trees, tmp_path, stack):
    return Machine(trees, tmp_path, stack)


@pytest.fixture
def tunnel(machine, stack):
    """An origin whose node and agent run as the README tells people to."""
    with machine.network:
        origin = Origin("origin")
    stack.callback(origin.close)
    machine.write("/etc/towonel/node.env", "TOWONEL_HUB_PUBLIC_URL=https://127.0.0.1:8443\n"
                  "TOWONEL_EDGE_PUBLIC_ADDRESSES=127.0.0.1:443\n")
    machine.write("/etc/towonel/agent.env", "TOWONEL_AGENT_SERVICES=@/etc/towonel/services.json\n")
    machine.write("/etc/towonel/services.json",
                  f'[{{"hostname":"{NAME}","origin":"{origin.address}","proxy_protocol":"none"}}]')
    machine.run("sh", "-euc", ON_THE_SERVER, check=True)
    invite = "towonel invite create --name alice --hostnames '*.alice.example.eu' >token"
    machine.run("sh", "-euc", invite, env={"TOWONEL_DATA_DIR": "/var/lib/towonel"}, check=True)
    machine.run("sh", "-euc", AT_HOME, check=True)
    with machine.network:
        wait_until(lambda: visit(443, NAME) == "origin", "visitors get through")
    return origin


def main_pid(machine, unit):
    return int(machine.show(unit, "MainPID"))


def status(machine, pid):
    with open(machine.path(f"/proc/{pid}/status")) as file:
        return dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)


def another(machine, unit, pid):
    """Waits for the unit to run again."""
    wait_until(lambda: machine.show(unit, "ActiveState") == "active" and main_pid(machine, unit) not in (0, pid),
               f"{unit} runs again")


def test_they_run_confined(machine, tunnel):
    for unit, capabilities in ((NODE, 1 << 10), (AGENT, 0)):
        told = status(machine, main_pid(machine, unit))
        assert int(told["CapBnd"], 16) == int(told["CapEff"], 16) == capabilities
        assert told["NoNewPrivs"] == "1" and told["Seccomp"] == "2"
        assert told["Uid"].split()[0] != "0"
    assert machine.show(AGENT, "StatusText") == "Serving."
    assert os.stat(machine.path("/etc/towonel/invite_token")).st_mode & 0o777 == 0o600
    assert "towonel" not in machine.systemctl("--failed", "--no-legend")


def test_an_agent_reads_its_services_again(machine, tunnel):
    pid, services = main_pid(machine, AGENT), machine.path("/etc/towonel/services.json")
    with open(services) as file:
        text = file.read()
    with open(services, "w") as file:
        file.write(text.replace(NAME, "new.alice.example.eu"))
    machine.systemctl("reload", AGENT)
    with machine.network:
        wait_until(lambda: visit(443, "new.alice.example.eu") == "origin", "the new name is served")
    assert main_pid(machine, AGENT) == pid


def test_what_hangs_or_dies_is_started_again(machine, tunnel):
    machine.write(f"/etc/systemd/system/{NODE}.d/soon.conf", f"[Service]\nWatchdogSec={WATCHDOG}\n"
                  "TimeoutAbortSec=1\nRestartSec=0\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", NODE)
    pid = main_pid(machine, NODE)
    time.sleep(WATCHDOG + 1)
    assert main_pid(machine, NODE) == pid, "it says in time that it is well"
    machine.systemctl("kill", "--kill-who=main", "--signal=STOP", NODE)
    another(machine, NODE, pid)
    machine.journal.wait_log("Watchdog timeout")
    pid = main_pid(machine, NODE)
    machine.systemctl("kill", "--kill-who=main", "--signal=KILL", NODE)
    another(machine, NODE, pid)
    with machine.network:
        wait_until(lambda: visit(443, NAME) == "origin", "visitors get through")


def test_what_cannot_become_better_is_not_started_again(machine, tunnel):
    machine.systemctl("stop", AGENT, NODE)
    machine.write("/etc/towonel/node.env", "TOWONEL_HUB_LISTEN_ADDR=nonsense\n")
    assert machine.run("systemctl", "start", NODE).returncode != 0
    assert machine.show(NODE, "Result") == "exit-code" and machine.show(NODE, "ExecMainStatus") == "2"
    assert machine.show(NODE, "SubState") == "failed" and machine.show(NODE, "NRestarts") == "0"


def test_a_reload_hands_over_and_drops_nobody(machine, tunnel):
    """Twice, with downloads that last longer, visitors all the time, and a watchdog that would bite."""
    machine.write(f"/etc/systemd/system/{NODE}.d/soon.conf", f"[Service]\nWatchdogSec={WATCHDOG}\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", NODE)
    first = main_pid(machine, NODE)
    with machine.network:
        wait_until(lambda: visit(443, NAME) == "origin", "visitors get through")
        with Load(lambda: visit(443, NAME)) as load, Visitor(443, NAME) as download:
            download.send("drip 100")
            machine.systemctl("reload", NODE)
            second = main_pid(machine, NODE)
            assert second != first and set(machine.processes(NODE)) == {first, second}
            seen = len(load.answers)
            time.sleep(WATCHDOG + 1)
            machine.systemctl("reload", NODE)
            third = main_pid(machine, NODE)
            assert third not in (first, second)
            assert [download.line() for _ in range(100)] == [str(line) for line in range(100)]
        assert load.failures == [] and len(load.answers) > seen + 20
        assert set(load.answers) == {"origin"}
    wait_until(lambda: machine.processes(NODE) == [third], "those before end with their visitors")
    assert machine.show(NODE, "NRestarts") == "0" and machine.show(NODE, "Result") == "success"
    assert "not our child" not in machine.journal.log() and "only permitted" not in machine.journal.log()


def test_a_reload_that_fails_changes_nothing(machine, tunnel):
    pid = main_pid(machine, NODE)
    machine.write("/etc/towonel/node.env", "TOWONEL_HUB_LISTEN_ADDR=nonsense\n")
    assert machine.run("systemctl", "reload", NODE).returncode != 0
    assert main_pid(machine, NODE) == pid and machine.show(NODE, "ActiveState") == "active"
    with machine.network:
        assert visit(443, NAME) == "origin"


@pytest.mark.parametrize("before", [[], [["reload"]]], ids=["", "after a reload"])
def test_a_stop_lets_visitors_finish(machine, tunnel, before):
    """Those of the last process and of the ones before."""
    with machine.network, contextlib.ExitStack() as visitors:
        downloads = []
        for verb in [*before, ["--no-block", "stop"]]:
            downloads.append(visitors.enter_context(Visitor(443, NAME)))
            downloads[-1].send("drip 20")
            assert downloads[-1].line() == "0"
            machine.systemctl(*verb, NODE)
        for download in downloads:
            assert [download.line() for _ in range(19)] == [str(line) for line in range(1, 20)]
    wait_until(lambda: machine.show(NODE, "ActiveState") == "inactive", "the node has stopped")
    assert machine.show(NODE, "Result") == "success"


def test_systemd_has_the_ports_before_and_between(machine, tunnel):
    machine.systemctl("stop", NODE)
    machine.systemctl("enable", "--now", "towonel-node.socket")
    with machine.network:
        assert http_get("http://127.0.0.1:9090/healthz")[0] == 0, "it does not run yet"
        done = run(["curl", "-sk", "https://127.0.0.1:8443/v1/health"])
        assert '"ok"' in done.stdout, done.stderr
        assert machine.show(NODE, "ActiveState") == "active"
        wait_until(lambda: visit(443, NAME) == "origin", "visitors get through")

        def call():
            done = run(["curl", "-sk", "https://127.0.0.1:8443/v1/health"])
            assert '"ok"' in done.stdout, done.stderr

        with Load(call, threads=2) as load:
            machine.systemctl("restart", NODE)
            machine.systemctl("reload", NODE)
            machine.systemctl("restart", NODE)
        assert load.failures == []
        wait_until(lambda: visit(443, NAME) == "origin", "visitors get through")
    assert "no setting has" not in machine.journal.log()
