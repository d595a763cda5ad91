# SPDX-License-Identifier: MIT
"""towonel doctor finds what is wrong, on a node's machine and on an agent's, and says what to do about it."""

import contextlib
import json
import os
import resource
import shutil
import subprocess

import pytest

from support.lines import Origin
from support.netns import Router, needs_namespaces
from support.process import BUILD, SANITIZED, Process, end, free_port, run, wait_until
from support.towonel import Agent, Node
from support.world import Placed

NAME = "app.alice.example.eu"
FAKETIME = ["faketime", "--exclude-monotonic", "-f"]


class Findings:
    def __init__(self, done):
        self.done = done
        assert done.returncode in (0, 1), done.stderr
        self.document = json.loads(done.stdout)
        self.all = self.document["findings"]
        assert all(finding["fix"] for finding in self.all if finding["verdict"] != "ok"), self.all
        assert (done.returncode == 0) == self.document["well"] == (not self.of("problem"))

    def of(self, verdict):
        return [finding for finding in self.all if finding["verdict"] == verdict]

    def has(self, verdict, check, *words):
        return any(finding["verdict"] == verdict and finding["check"] == check and
                   all(word in finding["text"] + " " + (finding["fix"] or "") for word in words)
                   for finding in self.all)

    def only(self, check, *words):
        """The only problem there is."""
        assert len(self.of("problem")) == 1 and self.has("problem", check, *words), self.all


def doctor(*arguments, env, host=None, prefix=()):
    more = {"preexec_fn": host.preexec} if host else {}
    return Findings(run([*prefix, f"{BUILD}/towonel", "doctor", "--json", *arguments], env=env, **more))


# --- on one host ---


def test_a_node_that_is_not_there(tmp_path):
    done = run([f"{BUILD}/towonel", "doctor"], cwd=tmp_path)
    assert done.returncode == 2 and "TOWONEL_INVITE_TOKEN" in done.stderr
    found = doctor("--node", env={"TOWONEL_DATA_DIR": tmp_path})
    found.only("settings", "node.key", "start towonel-node once")
    found = doctor("--agent", env={"TOWONEL_INVITE_TOKEN": "tt_inv_2_x"})
    found.only("settings", "TOWONEL_INVITE_TOKEN")


def test_a_node_that_does_not_run(make_node):
    node = make_node()
    assert doctor(env=node.env).document["well"]
    node.stop()
    doctor(env=node.env).only("node", "nothing answers", "systemctl")


def test_people_read_it(make_node):
    node = make_node(start=False)
    node.start(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000)))
    done = run([f"{BUILD}/towonel", "doctor", "--api-key", "x" * 43], env=node.env)
    assert done.returncode == 1 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "The node" and lines[-1].startswith("Problems: 1. ")
    assert any(line.startswith("  problem  operator ") for line in lines)
    assert any(line.startswith("  warning  descriptors ") and "1000" in line for line in lines)
    assert all("-> " in below for line, below in zip(lines, lines[1:]) if line.startswith(("  problem", "  warning")))


def test_settings_in_the_units_file(make_node, tmp_path):
    node = make_node()
    file = tmp_path / "node.env"
    file.write_text("# the node's\n; its settings\n\n" +
                    "".join(f"{name}={quote}{value}{quote}\n" for (name, value), quote in
                            zip(node.env.items(), ["", "'", '"'] * 10)) + "TOWONEL_DRAIN_SECS=\\\n7 \n")
    assert doctor("--node", "--env-file", file, env={}).document["well"]
    file.write_text("TOWONEL_DATA_DIR='/tmp\n")
    found = doctor("--node", "--env-file", file, env=node.env)
    assert found.has("problem", "settings", str(file), "TOWONEL_DATA_DIR has a quote without an end")
    file.write_text("TOWONEL_DRAIN_SECS=x\n")
    doctor("--node", "--env-file", file, env=node.env).only("settings", "TOWONEL_DRAIN_SECS")


def test_an_agents_service_of_which_all_is_wrong(make_node, tmp_path):
    node = make_node()
    port = free_port()
    env = {"TOWONEL_INVITE_TOKEN": node.invite("*.alice.example.eu"),
           "TOWONEL_AGENT_HEALTH_LISTEN_ADDR": f"127.0.0.1:{free_port()}",
           "TOWONEL_AGENT_SERVICES": json.dumps([{"hostname": "app.bob.example.eu", "origin": f"127.0.0.1:{port}"}])}
    found = doctor(env=env)
    assert found.has("problem", "origin", f"127.0.0.1:{port}", "start the service")
    assert found.has("problem", "hostname", "app.bob.example.eu", "invite hostnames")
    assert found.has("warning", "agent", "start towonel-agent")
    assert found.has("ok", "udp", "QUIC gets through") and found.has("ok", "token")
    node.towonel("invite", "revoke", "--id", node.invites()[0]["invite_id"])
    assert doctor(env=env).has("problem", "token", "invite create")


def test_the_hub_of_a_token_is_another_one(make_node):
    token = make_node(name="first").invite(NAME)
    other = make_node(name="other")
    found = doctor("--agent", "--hub-url", other.hub_url, env={"TOWONEL_INVITE_TOKEN": token})
    found.only("hub", other.hub_url, "node.key")


def test_a_database_in_a_directory_of_its_own(make_node, tmp_path):
    node = make_node(TOWONEL_HUB_DB_DSN=f"{tmp_path}/hub.db")
    found = doctor(env=node.env)
    assert found.document["well"]
    assert found.has("warning", "hub", "127.0.0.1", "set TOWONEL_HUB_PUBLIC_URL"), "no agent elsewhere would find it"
    assert found.has("ok", "disk", f"{tmp_path} can") and found.has("ok", "disk", node.data_dir)


def test_a_database_that_is_away(make_node):
    port = free_port()
    node = make_node(start=False, TOWONEL_HUB_DB_DRIVER="postgres",
                     TOWONEL_HUB_DB_DSN=f"postgres://user:SeCrEt@127.0.0.1:{port}/towonel")
    node.start(wait=False)
    wait_until(lambda: node.hub_ready()[0] == 503, "the hub waits for its database")
    found = doctor(env=node.env)
    assert found.has("problem", "database", f"PostgreSQL on 127.0.0.1:{port}", "TOWONEL_HUB_DB_DSN")
    assert found.has("problem", "database", "the hub says")
    assert "SeCrEt" not in found.done.stdout


def test_certificates(make_tunnel, authority, tmp_path):
    name = "soon.alice.example.eu"
    certs = tmp_path / "certs"
    certs.mkdir()
    for path, suffix in zip(authority.issue(name), ("crt", "key")):  # good for two days
        shutil.copy(path, certs / f"{name}.{suffix}")
    node, _ = make_tunnel({name: {"origin": "127.0.0.1:9", "tls_mode": {"mode": "terminate"}}},
                          TOWONEL_EDGE_TLS_CERT_DIR=str(certs))
    run(["curl", "-sk", "--resolve", f"{name}:{node.edge_port}:127.0.0.1", f"https://{name}:{node.edge_port}"])
    found = wait_until(lambda: (got := doctor("--node", env=node.env)).has("warning", "certificate") and got,
                       "the certificate is known")
    assert found.has("warning", "certificate", name, "1 days")


# --- on two hosts, with DNS between them ---


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """A node with the usual ports, an agent elsewhere, and a DNS server beside the node."""
    with contextlib.ExitStack() as stack:
        yield Hosts(tmp_path_factory.mktemp("hosts"), stack)


class Hosts:
    def __init__(self, tmp_path, stack):
        self.router = Router(stack)
        self.server, self.home = self.router.host("server"), self.router.host("home")
        at = self.server.address
        self._dns(tmp_path, stack, at)
        for directory in ("server", "home"):
            (tmp_path / directory).mkdir()
        self.data = tmp_path / "server" / "data"
        self.data.mkdir()
        # a disk of its own, which the node sees and nobody else
        run(["nsenter", f"--mount=/proc/{self.server.pid}/ns/mnt", "mount", "-t", "tmpfs", "-o", "size=300m", "none",
             self.data], check=True)
        self.node = Placed(self.server, lambda: Node(
            tmp_path / "server", host=at, TOWONEL_EDGE_LISTEN_ADDR=f"{at}:443",
            TOWONEL_EDGE_TUNNEL_LISTEN_ADDR=f"{at}:443", TOWONEL_EDGE_PUBLIC_ADDRESSES="edge.example.eu:443",
            TOWONEL_HUB_PUBLIC_URL="https://hub.example.eu:8443", TOWONEL_HUB_LISTEN_ADDR=f"{at}:8443"))
        stack.callback(end, self.node)
        self.node.preexec = self.server.preexec
        self.node.start(wait=False)
        wait_until(lambda: self.node.hub_ready()[0] == 200, "the node is ready")
        made = self.on_server("invite", "create", "--hostnames", "*.alice.example.eu")
        assert made.returncode == 0, made.stderr
        self.token = made.stdout.strip()
        with self.home:
            origin = Origin("origin")
        stack.callback(origin.close)
        self.agent = Placed(self.home, lambda: Agent(tmp_path / "home", self.token, [origin.service(NAME)]))
        self.agent.preexec = self.home.preexec
        stack.callback(end, self.agent)
        self.start_agent()

    def start_agent(self):
        self.agent.start()
        wait_until(lambda: self.on_server("status").returncode == 0, "the hub and its edge know the agent")

    def _dns(self, tmp_path, stack, at):
        config, resolv = tmp_path / "unbound.conf", tmp_path / "resolv.conf"
        records = {"hub.example.eu.": at, "edge.example.eu.": at, f"{NAME}.": at,
                   "wrong.alice.example.eu.": "192.0.2.1"}
        config.write_text("server:\n" + "".join(f"    {line}\n" for line in [
            f"interface: {at}", "access-control: 0.0.0.0/0 allow", 'username: ""', 'chroot: ""',
            f'directory: "{tmp_path}"', f'pidfile: "{tmp_path}/unbound.pid"', "use-syslog: no", "do-daemonize: no",
            'local-zone: "example.eu." static',
            *(f'local-data: "{name} A {address}"' for name, address in records.items())]))
        resolv.write_text(f"nameserver {at}\n")
        for host in (self.server, self.home):
            host.bind(str(resolv), os.path.realpath("/etc/resolv.conf"))
        with self.server:
            unbound = Process(["/usr/sbin/unbound", "-d", "-c", config], tmp_path / "unbound.log")
        stack.callback(unbound.kill)

    def on_server(self, *arguments):
        with self.server:
            return run([f"{BUILD}/towonel", *arguments], preexec_fn=self.server.preexec, env={
                "TOWONEL_DATA_DIR": self.data, "TOWONEL_HUB_LISTEN_ADDR": f"{self.server.address}:8443"})

    def node_side(self, **env):
        with self.server:
            return doctor("--node", env={**self.node.env, **env}, host=self.server)

    def agent_side(self, prefix=(), **env):
        with self.home:
            return doctor("--agent", env={**self.agent.env, **env}, host=self.home, prefix=prefix)

    def firewall(self, rules):
        self.server.nft("table inet doctor\ndelete table inet doctor\n" + (
            "table inet doctor {\nchain in {\ntype filter hook input priority 0\n%s\n}\n}\n" % rules if rules else ""))


@needs_namespaces
def test_all_is_well(hosts):
    node, agent = hosts.node_side(), hosts.agent_side()
    assert not node.of("problem") + agent.of("problem")
    assert node.has("ok", "hub", "tokens lead to it")
    for found in (node, agent):
        assert found.has("ok", "hub") and found.has("ok", "udp", "QUIC gets through")
        assert found.has("ok", "tcp", ":443/tcp")
        assert found.has("ok", "dns", NAME) and found.has("ok", "descriptors") and found.has("ok", "contact")
    assert node.has("ok", "disk") and node.has("ok", "database") and node.has("ok", "port", ":443/udp")
    assert agent.has("ok", "udp", "1472 bytes") and agent.has("ok", "clock")
    assert agent.has("ok", "origin", NAME) and agent.has("ok", "token")


@needs_namespaces
def test_dns_that_is_wrong(hosts):
    services = [{"hostname": name, "origin": "127.0.0.1:9"} for name in
                (NAME, "wrong.alice.example.eu", "none.alice.example.eu", "*.alice.example.eu")]
    found = hosts.agent_side(TOWONEL_AGENT_SERVICES=json.dumps(services))
    record = f"A {hosts.server.address}"
    assert found.has("ok", "dns", NAME)
    assert found.has("problem", "dns", "wrong.alice.example.eu leads to 192.0.2.1", record)
    assert found.has("problem", "dns", "none.alice.example.eu has no address", record)
    assert found.has("problem", "dns", "*.alice.example.eu has no address", f"*.alice.example.eu {record}")


@needs_namespaces
@pytest.mark.parametrize("rules, check, words", [
    ("udp dport 443 drop", "udp", ["no answer", "open this port for UDP"]),
    ("tcp dport 443 reject with tcp reset", "tcp", ["refused", "open this port for TCP"]),
    ("tcp dport 8443 reject with tcp reset", "hub", ["8443", "port open"]),
], ids=["udp", "tcp", "hub"])
def test_ports_that_are_closed(hosts, rules, check, words):
    hosts.firewall(rules)
    try:
        found = hosts.agent_side()
    finally:
        hosts.firewall("")
    assert found.has("problem", check, *words), found.all


@needs_namespaces
def test_it_goes_the_ways_of_the_service(hosts, tmp_path):
    file = tmp_path / "agent.env"
    file.write_text("HTTPS_PROXY=http://127.0.0.1:1\n")
    with hosts.home:
        found = doctor("--agent", "--env-file", file, env=hosts.agent.env, host=hosts.home)
    assert found.has("problem", "hub", "8443"), found.all


@needs_namespaces
def test_a_narrow_path(hosts):
    hosts.home.ip("link", "set", "eth0", "mtu", "1280")
    hosts.router.ip("link", "set", hosts.home.wire, "mtu", "1280")
    try:
        found = hosts.agent_side()
    finally:
        hosts.home.ip("link", "set", "eth0", "mtu", "1500")
        hosts.router.ip("link", "set", hosts.home.wire, "mtu", "1500")
    assert found.has("warning", "udp", "1200 bytes at most", "MTU"), found.all


@needs_namespaces
@pytest.mark.skipif(SANITIZED, reason="faketime and AddressSanitizer are both preloaded")
def test_a_clock_that_is_wrong(hosts):
    found = hosts.agent_side(prefix=[*FAKETIME, "+90s"])
    found.only("clock", "90 s ahead of", "set-ntp")
    assert hosts.agent_side(prefix=[*FAKETIME, "+20s"]).has("warning", "clock", "20 s ahead of")


@needs_namespaces
def test_a_disk_that_is_full(hosts):
    filling = hosts.data / "filling"
    inside = ["nsenter", f"--mount=/proc/{hosts.server.pid}/ns/mnt"]
    subprocess.run([*inside, "dd", "if=/dev/zero", f"of={filling}", "bs=1M"], stderr=subprocess.DEVNULL)
    try:
        found = hosts.node_side()
    finally:
        run([*inside, "rm", filling], check=True)
    found.only("disk", "room for 0 MiB", "make room")


@needs_namespaces
def test_an_agent_that_is_gone(hosts):
    hosts.agent.stop()
    found = hosts.node_side()
    assert found.has("problem", "service", NAME, "no agent"), found.all
    hosts.start_agent()
