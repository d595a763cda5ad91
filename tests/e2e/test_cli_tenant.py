# SPDX-License-Identifier: MIT
"""The command line for operators about tenants, and for tenants themselves."""

import concurrent.futures
import json
import os
import re
import sqlite3
import stat

import pytest

from support.process import BUILD, run
from support.towonel import Node

CLI = f"{BUILD}/towonel"
HEX = re.compile("[0-9a-f]{64}")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("cli-tenant")).start()
    yield node
    node.kill()


class Tenant:
    """An invite, and the command line as its holder runs it: away from the node's directory."""

    count = 0

    def __init__(self, node, directory):
        Tenant.count += 1
        self.zone = f"t{Tenant.count}.example.eu"
        self.directory = directory
        done = node.towonel("invite", "create", "--json", "--name", f"tenant{Tenant.count}",
                            "--hostnames", f"{self.zone},*.{self.zone}")
        assert done.returncode == 0, done.stderr
        invite = json.loads(done.stdout)
        self.token, self.id, self.invite_id = invite["token"], invite["tenant_id"], invite["invite_id"]

    def towonel(self, *arguments, token=True, **env):
        if token:
            env["TOWONEL_INVITE_TOKEN"] = self.token
        return run([CLI, *arguments], env=env, cwd=self.directory)

    def submit(self, op, *arguments):
        done = self.towonel("entry", "submit", "--json", "--op", op, *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["sequence"]


@pytest.fixture
def make_tenant(node, tmp_path):
    return lambda: Tenant(node, tmp_path)


@pytest.fixture
def tenant(make_tenant):
    return make_tenant()


def refused(done, wanted, code=1):
    assert done.returncode == code, done.stderr
    assert wanted in done.stderr.splitlines()[0] and done.stdout == ""


def tenants(node):
    return {one["tenant_id"]: one for one in json.loads(node.towonel("tenant", "list", "--json").stdout)["tenants"]}


# --- usage ------------------------------------------------------------------------------------

ID = "0" * 64


@pytest.mark.parametrize("arguments", [
    ["invite", "hostnames"], ["tenant", "list"], ["tenant", "remove"], ["tenant", "leave"], ["tenant", "init"],
    ["tenant", "export-key"], ["tenant", "import-key"], ["entry", "submit"], ["entry", "list"],
    ["port", "available"], ["port", "list"], ["status"]])
def test_every_command_has_help(arguments):
    done = run([CLI, *arguments, "--help"])
    assert done.returncode == 0 and done.stderr == "" and f"usage: towonel {' '.join(arguments)}" in done.stdout
    assert "--json" in done.stdout and max(map(len, done.stdout.splitlines())) <= 110


@pytest.mark.parametrize("noun", ["invite", "tenant", "entry", "port", "completion"])
def test_every_noun_has_help(noun):
    assert noun in run([CLI, "admin", noun, "--help"]).stdout
    refused(run([CLI, noun]), f"{noun} what?", 2)


@pytest.mark.parametrize("arguments, wanted", [
    (["tenant", "frobnicate"], "export-key"),
    (["status", "now"], "now"),
    (["invite", "hostnames"], "--id"),
    (["invite", "hostnames", "--id", "x"], "--id"),
    (["invite", "hostnames", "--id", "A" * 22, "--add", ","], "--add"),
    (["invite", "hostnames", "--id", "A" * 22, "--remove", "a"], "--remove"),
    (["invite", "hostnames", "--id", "A" * 22, "--remove", "../a.eu"], "--remove"),
    (["tenant", "remove"], "--tenant-id"),
    (["tenant", "remove", "--tenant-id", "A" * 64], "--tenant-id"),
    (["tenant", "list", "--token", "x"], "--token"),
    (["tenant", "leave"], "TOWONEL_INVITE_TOKEN"),
    (["tenant", "leave", "--api-key", "x"], "--api-key"),
    (["tenant", "leave", "--token", "tt_inv_1_a.b.c.d"], "--token"),
    (["tenant", "leave", "--token", "tt_edge_2_a.b.c.d"], "--token"),
    (["tenant", "leave", "--token", "x", "--key-path", "y"], "--key-path"),
    (["tenant", "leave", "--key-path", "/dev/null/key"], "/dev/null/key"),
    (["tenant", "export-key"], "--backup"),
    (["tenant", "export-key", "--backup", "x"], "which tenant"),
    (["tenant", "import-key"], "--backup"),
    (["entry", "submit"], "--op"),
    (["entry", "submit", "--op", "frobnicate"], "frobnicate"),
    (["entry", "submit", "--op", "leave"], "tenant leave"),
    (["entry", "submit", "--op", "upsert_agent", "--agent-id", ID], "agents"),
    (["entry", "submit", "--op", "upsert_hostname"], "--hostname"),
    (["entry", "submit", "--op", "upsert_hostname", "--hostname", "a"], "--hostname"),
    (["entry", "submit", "--op", "upsert_hostname", "--hostname", "a.eu", "--mode", "x"], "--mode"),
    (["entry", "submit", "--op", "upsert_hostname", "--hostname", "a.eu", "--name", "x"], "--name"),
    (["entry", "submit", "--op", "set_hostname_tls", "--hostname", "a.eu"], "--mode"),
    (["entry", "submit", "--op", "revoke_agent", "--agent-id", "x"], "--agent-id"),
    (["entry", "submit", "--op", "upsert_tcp_service", "--name", "x"], "--listen-port"),
    (["entry", "submit", "--op", "upsert_tcp_service", "--name", "x", "--listen-port", "0"], "--listen-port"),
    (["entry", "submit", "--op", "upsert_udp_service", "--name", "x", "--listen-port", "65536"], "--listen-port"),
    (["entry", "submit", "--op", "delete_udp_service", "--name", "a\nb"], "--name"),
    (["entry", "list"], "which tenant"),
    (["entry", "list", "--tenant-id", "x"], "--tenant-id"),
    (["entry", "list", "--tenant-id", ID, "--token", "x"], "--tenant-id"),
    (["port", "available"], "--protocol"),
    (["port", "available", "--protocol", "sctp"], "sctp"),
    (["port", "available", "--protocol", "tcp", "--count", "201"], "201"),
    (["port", "available", "--protocol", "tcp", "--count", "-1"], "-1"),
])
def test_wrong_usage(arguments, wanted, tmp_path):
    refused(run([CLI, *arguments], cwd=tmp_path, env={"TOWONEL_OPERATOR_KEY": "k" * 43}), wanted, 2)


# --- the operator -----------------------------------------------------------------------------


def test_hostnames_of_an_invite(node, make_tenant):
    one, other = make_tenant(), make_tenant()

    def hostnames(*arguments, tenant=one):
        return node.towonel("invite", "hostnames", "--id", tenant.invite_id, *arguments)
    assert hostnames().stdout.split() == sorted([f"*.{one.zone}", one.zone])
    done = hostnames("--add", f"New.{one.zone}., b.{one.zone}.more.example.eu", "--json")
    assert json.loads(done.stdout) == {"invite_id": one.invite_id, "hostnames": sorted(
        [f"*.{one.zone}", one.zone, f"new.{one.zone}", f"b.{one.zone}.more.example.eu"])}
    assert hostnames("--remove", f"*.{one.zone},new.{one.zone}").stdout.split() == sorted(
        [one.zone, f"b.{one.zone}.more.example.eu"])
    # The only one is exchanged in one go.
    assert hostnames("--remove", f"b.{one.zone}.more.example.eu").stdout.split() == [one.zone]
    assert hostnames("--add", f"only.{one.zone}", "--remove", one.zone).stdout.split() == [f"only.{one.zone}"]
    refused(hostnames("--remove", f"only.{one.zone}"), "last hostname")
    refused(hostnames("--remove", f"gone.{one.zone}"), f"gone.{one.zone}")
    refused(hostnames("--add", f"x.{other.zone}"), f"{other.zone}")
    assert hostnames(tenant=other).stdout.split() == sorted([f"*.{other.zone}", other.zone])
    refused(node.towonel("invite", "hostnames", "--id", "A" * 22), "no such invite")


def test_tenants_are_listed_and_removed(node, tenant):
    tenant.submit("upsert_hostname", "--hostname", f"app.{tenant.zone}")
    tenant.submit("upsert_tcp_service", "--name", "ssh", "--listen-port", "22022")
    listed = node.towonel("tenant", "list")
    assert listed.returncode == 0 and listed.stderr == ""
    head, *rows = listed.stdout.splitlines()
    assert head.split() == ["TENANT", "NAME", "AGENTS", "PORTS", "HOSTNAMES", "ALLOWED"]
    row = next(row for row in rows if tenant.id in row)
    assert row.split()[2:] == ["0", "1", f"app.{tenant.zone}", f"*.{tenant.zone},{tenant.zone}"]
    assert row.index(f"app.{tenant.zone}") == head.index("HOSTNAMES")
    assert tenants(node)[tenant.id]["hostnames"] == [f"app.{tenant.zone}"]

    done = node.towonel("tenant", "remove", "--tenant-id", tenant.id)
    assert done.returncode == 0 and "Removed" in done.stdout
    assert tenant.id not in tenants(node)
    refused(node.towonel("tenant", "remove", "--json", "--tenant-id", tenant.id), "no such tenant")
    done = tenant.towonel("entry", "list")
    refused(done, "does not know this tenant")
    assert tenant.id in done.stderr and node.hub_url in done.stderr


def test_ports(node, tenant):
    assert "No service" in node.towonel("port", "list").stdout
    tenant.submit("upsert_tcp_service", "--name", "ssh", "--listen-port", "22023")
    tenant.submit("upsert_udp_service", "--name", "dns", "--listen-port", "22023")
    head, *rows = node.towonel("port", "list").stdout.splitlines()
    assert head.split() == ["PORT", "SERVICE", "TENANT", "SINCE", "RESERVED"]
    assert sorted(row.split()[:3] for row in rows) == [["22023/tcp", "ssh", tenant.id], ["22023/udp", "dns", tenant.id]]
    ports = json.loads(node.towonel("port", "list", "--json").stdout)["ports"]
    assert {(port["port"], port["protocol"], port["service"]) for port in ports} == {
        (22023, "tcp", "ssh"), (22023, "udp", "dns")}
    node.towonel("tenant", "remove", "--tenant-id", tenant.id)
    assert json.loads(node.towonel("port", "list", "--json").stdout) == {"ports": []}

    free = node.towonel("port", "available", "--protocol", "tcp", "--count", "3").stdout.split()
    assert len(set(free)) == 3 and all(1024 <= int(port) <= 65535 for port in free)
    assert len(node.towonel("port", "available", "--protocol", "udp").stdout.split()) == 20
    document = json.loads(node.towonel("port", "available", "--protocol", "udp", "--count", "1", "--json").stdout)
    assert document["protocol"] == "udp" and len(document["ports"]) == 1


def test_port_ranges(node, tenant):
    tenant.submit("upsert_tcp_service", "--name", "game", "--listen-port", "22100", "--ports", "16")
    tenant.submit("upsert_udp_service", "--name", "game", "--listen-port", "22100", "--ports", "2",
                  "--idle-timeout", "5m")
    rows = [row.split()[:3] for row in node.towonel("port", "list", "--tenant-id", tenant.id).stdout.splitlines()[1:]]
    assert rows == [["22100-22115/tcp", "game", tenant.id], ["22100-22101/udp", "game", tenant.id]]
    assert len(json.loads(node.towonel("port", "list", "--json").stdout)["ports"]) == 18
    assert "ports 22100-22115" in tenant.towonel("entry", "list").stdout
    refused(tenant.towonel("entry", "submit", "--op", "upsert_tcp_service", "--name", "ssh", "--listen-port", "22105"),
            "port 22105/tcp is taken by your own service")
    for options, why in ((["--ports", "513"], "no number from 1 to 512"), (["--ports", "0"], "no number"),
                         (["--listen-port", "65535", "--ports", "2"], "beyond 65535"),
                         (["--idle-timeout", "2h"], "nothing from 1s to 1h")):
        done = tenant.towonel("entry", "submit", "--op", "upsert_udp_service", "--name", "x", "--listen-port", "22200",
                              *options)
        assert done.returncode == 2 and why in done.stderr
    done = tenant.towonel("entry", "submit", "--op", "upsert_tcp_service", "--name", "x", "--listen-port", "22200",
                          "--idle-timeout", "1m")
    assert done.returncode == 2 and "no use for --idle-timeout" in done.stderr


def test_port_reservations(node, tenant):
    def port(verb, *options):
        return node.towonel("port", verb, "--tenant-id", tenant.id, *options)

    done = port("reserve", "--protocol", "tcp", "--port", "22300", "--label", "the game")
    assert done.returncode == 0 and "Port 22300/tcp is reserved" in done.stdout
    document = json.loads(port("reserve", "--protocol", "udp", "--json").stdout)
    assert document["protocol"] == "udp" and document["port"] >= 20000
    assert document["edge"]["addresses"] == [f"127.0.0.1:{node.tunnel_port}"]
    rows = port("list").stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["22300/tcp", f"{document['port']}/udp"]
    assert rows[0].endswith("the game") and rows[1].endswith("yes")
    refused(port("reserve", "--protocol", "tcp", "--port", "22300"), "reserved for this tenant already")
    refused(port("reserve", "--protocol", "tcp", "--port", "80"), "below 1024")

    # Another tenant cannot have it, by reserving or by claiming; its own service can, and may let go of it again.
    other = node.invite("other.eu", name="other")
    refused(node.towonel("entry", "submit", "--op", "upsert_tcp_service", "--name", "x", "--listen-port", "22300",
                         env={"TOWONEL_INVITE_TOKEN": other}), "port 22300/tcp is reserved for tenant")
    tenant.submit("upsert_tcp_service", "--name", "game", "--listen-port", "22300")
    tenant.submit("delete_tcp_service", "--name", "game")
    assert port("list").stdout.splitlines()[1].split()[0] == "22300/tcp"

    assert "Released" in port("release", "--protocol", "tcp", "--port", "22300").stdout
    refused(port("release", "--protocol", "tcp", "--port", "22300"), "not reserved for this tenant")
    assert json.loads(port("release", "--protocol", "udp", "--port", str(document["port"]), "--json").stdout) == {
        "status": "released", "port": document["port"], "protocol": "udp"}
    for verb, options, why in (("reserve", ["--protocol", "sctp"], "neither tcp nor udp"), ("reserve", [], "--protocol"),
                               ("release", ["--protocol", "tcp"], "--port is missing"),
                               ("reserve", ["--protocol", "tcp", "--port", "0"], "no port")):
        done = port(verb, *options)
        assert done.returncode == 2 and why in done.stderr
    assert node.towonel("port", "reserve", "--protocol", "tcp").returncode == 2


def at_once(node, commands):
    """Runs all of them at the same time; what each gave."""
    with concurrent.futures.ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda command: node.towonel(*command), commands))


def test_of_many_operators_who_want_a_port_one_gets_it(node, make_tenant):
    tenants = [make_tenant() for _ in range(6)]
    done = at_once(node, [["port", "reserve", "--tenant-id", tenant.id, "--protocol", "tcp", "--port", "22400"]
                          for tenant in tenants])
    assert sorted(one.returncode for one in done) == [0] + [1] * 5
    winner = next(tenant for tenant, one in zip(tenants, done) if one.returncode == 0)
    for one in done:
        assert one.returncode == 0 or "port 22400/tcp is reserved for tenant" in one.stderr
    ports = json.loads(node.towonel("port", "list", "--json").stdout)["ports"]
    assert [port["tenant_id"] for port in ports if port["port"] == 22400] == [winner.id]


def test_of_many_operators_who_want_a_hostname_one_gets_it(node):
    before = len(node.invites())
    done = at_once(node, [["invite", "create", "--name", f"racer{number}", "--hostnames", hostname]
                          for number, hostname in enumerate(["*.race.eu", "a.race.eu"] * 3)])
    # Whichever comes first, it overlaps all others.
    made = [one for one in done if one.returncode == 0]
    assert len(made) == 1 and len(node.invites()) == before + 1
    for one in done:
        assert one.returncode == 0 or re.search(r'belongs to tenant "racer\d"', one.stderr), one.stderr


# --- the tenant -------------------------------------------------------------------------------


def test_a_tenant_leaves(node, make_tenant):
    by_variable, by_option, by_key = make_tenant(), make_tenant(), make_tenant()
    by_variable.submit("upsert_hostname", "--hostname", f"app.{by_variable.zone}")
    done = by_variable.towonel("tenant", "leave")
    assert done.returncode == 0 and "Left" in done.stdout and by_variable.id in done.stdout
    refused(by_variable.towonel("tenant", "leave"), "does not know this tenant")
    done = by_option.towonel("tenant", "leave", "--json", "--token", by_option.token, token=False)
    assert json.loads(done.stdout) == {"status": "removed", "tenant_id": by_option.id}
    assert by_key.towonel("tenant", "init").returncode == 0
    url = f"{node.hub_url}#{json.loads(node.towonel('status', '--json').stdout)['hub']['node_id']}"
    # The key file wins over a token in the environment.
    done = by_key.towonel("tenant", "leave", "--key-path", "tenant.key", "--hub-url", url, "--json", token=False,
                          TOWONEL_INVITE_TOKEN=by_option.token)
    assert json.loads(done.stdout)["tenant_id"] == by_key.id
    assert not tenants(node).keys() & {by_variable.id, by_option.id, by_key.id}


def test_entries_of_every_kind(node, tenant):
    agent = "ab" * 32
    submitted = [
        ("upsert_hostname", ["--hostname", f"App.{tenant.zone}."], f"app.{tenant.zone}", "passthrough"),
        ("set_hostname_tls", ["--hostname", f"app.{tenant.zone}", "--mode", "terminate"], f"app.{tenant.zone}", "terminate"),
        ("delete_hostname", ["--hostname", f"app.{tenant.zone}"], f"app.{tenant.zone}", ""),
        ("upsert_hostname", ["--hostname", f"*.{tenant.zone}", "--mode", "passthrough"], f"*.{tenant.zone}", "passthrough"),
        ("upsert_tcp_service", ["--name", "ssh", "--listen-port", "22024"], "ssh", "port 22024"),
        ("delete_tcp_service", ["--name", "ssh"], "ssh", ""),
        ("upsert_udp_service", ["--name", "dns", "--listen-port", "22025"], "dns", "port 22025"),
        ("delete_udp_service", ["--name", "dns"], "dns", ""),
        ("revoke_agent", ["--agent-id", agent], agent, ""),
    ]
    assert "No entries" in tenant.towonel("entry", "list").stdout
    assert json.loads(tenant.towonel("entry", "list", "--json").stdout) == {
        "tenant_id": tenant.id, "latest_sequence": 0, "entries": []}
    for number, (op, arguments, _, _) in enumerate(submitted, 1):
        done = tenant.towonel("entry", "submit", "--op", op, *arguments)
        assert (done.returncode, done.stdout) == (0, f"Accepted as entry {number}.\n"), done.stderr
    done = tenant.towonel("entry", "list")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["SEQUENCE", "SIGNED", "OP", "OF"] and len(rows) == len(submitted)
    for number, (row, (op, _, subject, detail)) in enumerate(zip(rows, submitted), 1):
        assert re.fullmatch(rf"{number} +\S+ \S+ UTC  {op} +{re.escape(subject)} *{detail}", row.rstrip())
    # The operator sees the same.
    mine = json.loads(tenant.towonel("entry", "list", "--json", "--token", tenant.token, token=False).stdout)
    assert mine == json.loads(node.towonel("entry", "list", "--tenant-id", tenant.id, "--json").stdout)
    assert mine["latest_sequence"] == len(submitted) and mine["entries"][0]["op"] == "upsert_hostname"
    refused(node.towonel("entry", "list", "--tenant-id", "0" * 64), "no such tenant")


def test_entries_that_the_hub_refuses(make_tenant):
    one, other = make_tenant(), make_tenant()
    refused(one.towonel("entry", "submit", "--op", "upsert_hostname", "--hostname", f"x.{other.zone}"), other.zone)
    other.submit("upsert_tcp_service", "--name", "ssh", "--listen-port", "22026")
    done = one.towonel("entry", "submit", "--op", "upsert_tcp_service", "--name", "x", "--listen-port", "22026")
    refused(done, "22026")
    refused(one.towonel("entry", "submit", "--op", "upsert_tcp_service", "--name", "x", "--listen-port", "22"), "22/tcp")
    assert json.loads(one.towonel("entry", "list", "--json").stdout)["entries"] == []


def test_entries_that_race_are_all_accepted(tenant):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sequences = list(pool.map(lambda n: tenant.submit("upsert_hostname", "--hostname", f"r{n}.{tenant.zone}"), range(8)))
    assert sorted(sequences) == list(range(1, 9))


def test_a_hub_that_changes_an_entry_is_found_out(make_node, tmp_path):
    node = make_node()
    one, other = Tenant(node, tmp_path), Tenant(node, tmp_path)
    for tenant in (one, other):
        tenant.submit("upsert_hostname", "--hostname", f"app.{tenant.zone}")
    assert one.towonel("entry", "list").returncode == 0
    assert node.stop() == 0
    with sqlite3.connect(os.path.join(node.data_dir, "hub.db")) as db:
        foreign, = db.execute("SELECT jws FROM entries WHERE tenant_id = ?", (bytes.fromhex(other.id),)).fetchone()
        assert db.execute("UPDATE entries SET jws = ? WHERE tenant_id = ?", (foreign, bytes.fromhex(one.id))).rowcount == 1
    db.close()
    node.start()
    done = one.towonel("entry", "list")
    assert done.returncode == 1 and "1 of the entries" in done.stderr and "not signed" in done.stderr
    assert other.towonel("entry", "list").returncode == 0


# --- key files --------------------------------------------------------------------------------


def test_a_key_file_is_made(node, tenant):
    done = tenant.towonel("tenant", "init", token=False)
    assert done.returncode == 0 and HEX.fullmatch(done.stdout.strip()) and "no hub knows" in done.stderr
    path = os.path.join(tenant.directory, "tenant.key")
    status = os.stat(path)
    assert stat.S_IMODE(status.st_mode) == 0o600 and status.st_size == 32
    with open(path, "rb") as file:
        fresh = file.read()
    refused(tenant.towonel("tenant", "init"), "there already")
    with open(path, "rb") as file:
        assert file.read() == fresh
    done = tenant.towonel("tenant", "init", "--key-path", "mine.key", "--json")
    assert json.loads(done.stdout) == {"status": "ok", "tenant_id": tenant.id, "path": "mine.key"}
    refused(tenant.towonel("tenant", "init", "--key-path", "no/such/dir.key"), "no/such/dir.key")
    # Either form of a key file serves; one that others can read does not, nor one that is none.
    mine = os.path.join(tenant.directory, "mine.key")
    with open(mine, "rb") as file:
        seed = file.read()
    url = f"{node.hub_url}#{json.loads(node.towonel('status', '--json').stdout)['hub']['node_id']}"
    for content, mode, code in ((seed, 0o600, 0), (seed.hex().encode() + b"\n", 0o400, 0), (seed, 0o640, 2),
                                (seed[:31], 0o600, 2), (b"", 0o600, 2)):
        os.unlink(mine)
        with open(mine, "wb") as file:
            file.write(content)
        os.chmod(mine, mode)
        done = tenant.towonel("entry", "list", "--key-path", mine, token=False, TOWONEL_HUB_URL=url)
        assert done.returncode == code, done.stderr
        assert code == 0 or mine in done.stderr


def test_secrets_from_files(node, tenant, tmp_path):
    """As the settings of node and agent may name them."""
    path = tmp_path / "secret"
    path.write_text(tenant.token + "\n")
    for arguments, env in ((["--token", f"@{path}"], {}), ([], {"TOWONEL_INVITE_TOKEN": f"@{path}"})):
        done = tenant.towonel("entry", "list", *arguments, token=False, **env)
        assert done.returncode == 0, done.stderr
    with open(os.path.join(node.data_dir, "operator.key")) as file:
        path.write_text(file.read())
    for arguments, env in ((["--api-key", f"@{path}"], {}), ([], {"TOWONEL_OPERATOR_KEY": f"@{path}"})):
        done = node.towonel("tenant", "list", *arguments, env=env)
        assert done.returncode == 0, done.stderr
    path.write_text("\n")
    for arguments in (["entry", "list", "--token", f"@{path}"], ["tenant", "list", "--api-key", f"@{path}"],
                      ["entry", "list", "--token", f"@{path}.none"]):
        done = tenant.towonel(*arguments, token=False)
        assert done.returncode != 0 and str(path) in done.stderr and arguments[2] in done.stderr, done.stderr
