# SPDX-License-Identifier: MIT
"""Wrong input gets one clear line that names the setting, and exit code 2; what may pass is tried again."""

import base64
import json
import os
import re
import shutil
import socket
import time

import pytest

from support.api import Api
from support.lines import Origin, visit
from support.process import BUILD, free_port, run, wait_until

NAME = "app.alice.example.eu"
SERVICES = [{"hostname": NAME, "origin": "127.0.0.1:9"}]
AGENT, NODE = f"{BUILD}/towonel-agent", f"{BUILD}/towonel-node"


def fake_token(hub_url=None, seed=b"S"):
    """A token of the right form, of a hub that is not there."""
    def part(data):
        return base64.urlsafe_b64encode(data).decode().rstrip("=")
    url = hub_url or f"https://127.0.0.1:{free_port()}#{'0' * 63}1"
    return "tt_inv_2_" + ".".join([part(url.encode()), part(bytes(16)), part(b"s" * 32), part(seed * 32)])


TOKEN = fake_token()


def refuse(program, env, *wanted, hidden=(), status=2):
    """Runs a program that must not start. Its complaint is one line, with all that is wanted."""
    done = run([program], env=env)
    assert done.returncode == status, (done.returncode, done.stderr)
    complaints = [line for line in done.stderr.splitlines() if line.startswith(os.path.basename(program) + ": ")]
    assert len(complaints) == 1, done.stderr
    for text in wanted:
        assert text in complaints[0], (text, complaints[0])
    for text in hidden:
        assert text not in done.stderr + done.stdout
    return complaints[0]


# --- the agent's settings ---------------------------------------------------------------------


@pytest.mark.parametrize("mangle, wanted", [
    (lambda t: "", "is not set"),
    (lambda t: "hello", "this is no token"),
    (lambda t: t[:-1], "seed"),
    (lambda t: t[:-10], "seed"),
    (lambda t: t.rpartition(".")[0], "parts"),
    (lambda t: t + ".AAAA", "parts"),
    (lambda t: t.replace("tt_inv_2_", "tt_inv_3_"), "version"),
    (lambda t: t.replace("tt_inv_2_", "tt_edge_2_"), "edge"),
    (lambda t: t[:-3] + "!!!", "base64url"),
    (lambda t: fake_token("http://hub.example.eu"), "https://"),
    (lambda t: fake_token("https://hub.example.eu"), "id"),
])
def test_a_token_that_cannot_be_read(mangle, wanted):
    token = mangle(TOKEN)
    parts = [part for part in token.split(".")[1:] if len(part) > 8]
    refuse(AGENT, {"TOWONEL_INVITE_TOKEN": token, "TOWONEL_AGENT_SERVICES": json.dumps(SERVICES)},
           "TOWONEL_INVITE_TOKEN", wanted, hidden=parts)


@pytest.mark.parametrize("services, wanted", [
    ("", "there is no service"),
    ("[]", "there is no service"),
    ("[{", "JSON"),
    ("{}", "array"),
    ('"x"', "JSON"),
    ("[1]", "element 1"),
    ('[{"hostname":"a.example.eu","origin":"127.0.0.1:1"},{"hostname":7,"origin":"127.0.0.1:1"}]', "element 2"),
    ('[{"hostname":"a.example.eu","origin":"127.0.0.1:1","colour":"red"}]', "colour"),
    ('[{"hostname":"a.example.eu"}]', "origin"),
    ('[{"hostname":"a.example.eu","origin":"127.0.0.1"}]', "origin"),
    ('[{"hostname":"a.example.eu","origin":"127.0.0.1:99999"}]', "origin"),
    ('[{"hostname":"a..example.eu","origin":"127.0.0.1:1"}]', "a..example.eu"),
    ('[{"hostname":"a.example.eu","origin":"127.0.0.1:1","proxy_protocol":"v1"}]', "proxy_protocol"),
    ('[{"hostname":"a.example.eu","origin":"127.0.0.1:1","tls_mode":"passthrough"}]', "tls_mode"),
    ('[{"hostname":"a.example.eu","origin":"127.0.0.1:1"},{"hostname":"A.example.eu","origin":"127.0.0.1:2"}]',
     "declared twice"),
    ("@/dev/null/services.json", "/dev/null/services.json"),
])
def test_services_that_cannot_be_used(services, wanted):
    refuse(AGENT, {"TOWONEL_INVITE_TOKEN": TOKEN, "TOWONEL_AGENT_SERVICES": services},
           "TOWONEL_AGENT_SERVICES", wanted)


def test_services_of_other_kinds_that_cannot_be_used():
    one = [{"name": "dns", "origin": "127.0.0.1:53", "listen_port": 5353}]
    env = {"TOWONEL_INVITE_TOKEN": TOKEN, "TOWONEL_AGENT_SERVICES": json.dumps(SERVICES)}
    one[0]["listen_port"] = 0
    refuse(AGENT, {**env, "TOWONEL_AGENT_UDP_SERVICES": json.dumps(one)},
           "TOWONEL_AGENT_UDP_SERVICES", "element 1", "listen_port")
    refuse(AGENT, {**env, "TOWONEL_AGENT_TCP_SERVICES": json.dumps(one)},
           "TOWONEL_AGENT_TCP_SERVICES", "element 1", "listen_port")


def test_tls_inside_of_tls_is_warned_of(make_agent):
    services = [{**SERVICES[0], "origin_server_name": "inner.example.eu"}]
    agent = make_agent(TOKEN, services, wait=False)
    agent.process.wait_log("TLS inside of TLS")
    line = next(line for line in agent.process.log().splitlines() if "TLS inside of TLS" in line)
    assert "WARN" in line and NAME in line
    assert agent.stop() == 0


@pytest.mark.parametrize("name, value", [
    ("TOWONEL_LOG", "loud"),
    ("TOWONEL_LOG_FORMAT", "xml"),
    ("TOWONEL_DRAIN_SECS", "soon"),
    ("TOWONEL_DRAIN_SECS", "0"),
    ("TOWONEL_AGENT_HEALTH_LISTEN_ADDR", "localhost"),
    ("TOWONEL_AGENT_TRUSTED_EDGES", "abc"),
])
def test_agent_settings_with_bad_values(name, value):
    refuse(AGENT, {"TOWONEL_INVITE_TOKEN": TOKEN, "TOWONEL_AGENT_SERVICES": json.dumps(SERVICES), name: value}, name)


def test_arguments_are_none_of_these_programs():
    for program in (AGENT, NODE):
        done = run([program, "--frobnicate"])
        assert done.returncode == 2 and "--frobnicate" in done.stderr


# --- a token that the hub judges --------------------------------------------------------------


def test_a_revoked_token(make_node, make_agent):
    node = make_node()
    token = node.invite(NAME)
    assert node.towonel("invite", "revoke", "--id", node.invites()[0]["invite_id"]).returncode == 0
    agent = make_agent(token, SERVICES, wait=False)
    assert agent.process.wait() == 2
    assert "the hub does not accept the invite token: it was revoked" in agent.process.log()
    assert not any(part in agent.process.log() for part in token.split(".")[2:])


def test_a_token_with_another_secret_looks_like_a_revoked_one(make_node, make_agent):
    token = make_node().invite(NAME).split(".")
    token[2] = token[2][:-4] + ("AAAA" if token[2][-4:] != "AAAA" else "BBBA")
    agent = make_agent(".".join(token), SERVICES, wait=False)
    assert agent.process.wait() == 2
    assert "the hub does not accept the invite token" in agent.process.log()


def test_an_expired_token(make_node, make_agent):
    node = make_node()
    token = node.invite(NAME, expires="1s")
    time.sleep(1.2)
    agent = make_agent(token, SERVICES, wait=False)
    assert agent.process.wait() == 2
    assert "the invite token has expired" in agent.process.log()


def test_a_hub_with_another_key_is_not_trusted_until_the_right_one_is_back(make_node, make_agent, stack):
    origin = Origin("origin")
    stack.callback(origin.close)
    node = make_node()
    token = node.invite(NAME)
    right = Api(node).get("/v1/health").json["node_id"]
    assert node.stop() == 0
    other = make_node(start=False, name="other")
    other.env.update({key: value for key, value in node.env.items() if key.endswith("_ADDR")})
    other.hub_port, other.hub_health_port = node.hub_port, node.hub_health_port
    other.start()
    agent = make_agent(token, [origin.service(NAME)], wait=False)
    agent.process.wait_log("is not the one that was expected", count=2)
    line = next(line for line in agent.process.log().splitlines() if "is not the one that was expected" in line)
    ids = re.findall(r"\b[0-9a-f]{64}\b", line)
    assert len(set(ids)) == 2, line
    assert right in ids
    assert other.stop() == 0
    node.start()
    agent.wait_ready()
    assert visit(node.edge_port, NAME) == "origin"


# --- the node's settings and its host ---------------------------------------------------------


@pytest.fixture
def node_env(tmp_path, make_node):
    return make_node(start=False).env


@pytest.mark.parametrize("name, value", [
    ("TOWONEL_HUB_LISTEN_ADDR", "nowhere"),
    ("TOWONEL_HUB_LISTEN_ADDR", "127.0.0.1:70000"),
    ("TOWONEL_EDGE_LISTEN_ADDR", "192.0.2.1:443"),
    ("TOWONEL_HUB_ENABLED", "perhaps"),
    ("TOWONEL_HUB_PUBLIC_URL", "http://hub.example.eu"),
    ("TOWONEL_EDGE_PUBLIC_ADDRESSES", "hub.example.eu"),
    ("TOWONEL_EDGE_PUBLIC_ADDRESSES", "hub.example.eu:1,no port"),
    ("TOWONEL_HUB_DB_DRIVER", "oracle"),
    ("TOWONEL_HUB_DB_DSN", "/dev/null/hub.db"),
    ("TOWONEL_HUB_DB_MAX_OPEN_CONNS", "0"),
    ("TOWONEL_INVITE_HASH_KEY", "abc"),
    ("TOWONEL_LOG", "loud"),
])
def test_node_settings_with_bad_values(node_env, name, value):
    refuse(NODE, {**node_env, name: value}, name)


def test_a_secret_with_a_bad_value_is_not_shown(node_env):
    refuse(NODE, {**node_env, "TOWONEL_INVITE_HASH_KEY": "5ec2e7"}, "TOWONEL_INVITE_HASH_KEY", hidden=["5ec2e7"])


@pytest.mark.parametrize("name, kind", [
    ("TOWONEL_HUB_LISTEN_ADDR", socket.SOCK_STREAM),
    ("TOWONEL_HUB_HEALTH_LISTEN_ADDR", socket.SOCK_STREAM),
    ("TOWONEL_EDGE_LISTEN_ADDR", socket.SOCK_STREAM),
    ("TOWONEL_EDGE_TUNNEL_LISTEN_ADDR", socket.SOCK_DGRAM),
    ("TOWONEL_EDGE_HEALTH_LISTEN_ADDR", socket.SOCK_STREAM),
])
def test_a_port_that_is_taken(node_env, name, kind):
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", int(node_env[name].rpartition(":")[2])))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        refuse(NODE, node_env, name, node_env[name], "in use")


def test_the_agents_health_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refuse(AGENT, {"TOWONEL_INVITE_TOKEN": TOKEN, "TOWONEL_AGENT_SERVICES": json.dumps(SERVICES),
                       "TOWONEL_AGENT_HEALTH_LISTEN_ADDR": address},
               "TOWONEL_AGENT_HEALTH_LISTEN_ADDR", address, "in use")


def test_unknown_variables_are_warned_of_with_the_nearest_name(make_node, make_agent):
    node = make_node(TOWONEL_HUB_LISTEN_ADR="127.0.0.1:1", TOWONEL_ZZZZZZZZZZZZZZZZZZZZ="1")
    warnings = [line for line in node.process.log().splitlines() if "WARN" in line and "TOWONEL_" in line]
    assert any("TOWONEL_HUB_LISTEN_ADR" in line and "TOWONEL_HUB_LISTEN_ADDR" in line for line in warnings)
    assert any("TOWONEL_ZZZZZZZZZZZZZZZZZZZZ" in line for line in warnings)
    agent = make_agent(node.invite(NAME), SERVICES, TOWONEL_AGENT_SERVICE="[]")
    assert any("TOWONEL_AGENT_SERVICE " in line + " " and "TOWONEL_AGENT_SERVICES" in line
               for line in agent.process.log().splitlines() if "WARN" in line)


# --- key files --------------------------------------------------------------------------------


def test_key_files_are_made_at_first_start_for_the_owner_alone(make_node):
    node = make_node()
    keys = ("node.key", "operator.key", "invite_hash.key")
    for name in keys:
        assert os.stat(os.path.join(node.data_dir, name)).st_mode & 0o777 == 0o600
    assert os.stat(os.path.join(node.data_dir, "hub.db")).st_mode & 0o077 == 0

    def contents():
        return [open(os.path.join(node.data_dir, name), "rb").read() for name in keys]
    before = contents()
    assert node.stop() == 0
    node.start()
    assert contents() == before


def test_nodes_that_race_for_one_directory_end_up_with_one_key(make_node, tmp_path):
    for round_ in range(3):
        nodes = [make_node(start=False, name=f"racer{round_}-{i}") for i in range(3)]
        shared = os.path.join(tmp_path, f"shared{round_}")
        for node in nodes:
            node.env["TOWONEL_DATA_DIR"] = shared
        for node in nodes:
            node.start(wait=False)
        for node in nodes:
            node.process.wait_log("hub is up")
        ids = {re.search(r"hub is up.* node=([0-9a-f]{64})", node.process.log())[1] for node in nodes}
        assert len(ids) == 1
        for node in nodes:
            node.kill()
        assert not [name for name in os.listdir(shared) if "tmp" in name]


@pytest.mark.parametrize("name", ["node.key", "operator.key", "invite_hash.key"])
def test_a_key_that_others_can_read_is_refused_with_what_to_do(make_node, name):
    node = make_node()
    assert node.stop() == 0
    path = os.path.join(node.data_dir, name)
    os.chmod(path, 0o644)
    refuse(NODE, node.env, f"chmod 600 {path}")
    os.chmod(path, 0o600)
    node.start()


def test_a_key_file_that_is_no_key_is_named(make_node):
    node = make_node()
    assert node.stop() == 0
    path = os.path.join(node.data_dir, "operator.key")
    with open(path, "w") as file:
        file.write("short\n")
    refuse(NODE, node.env, path, hidden=["short"])


# --- the disk ---------------------------------------------------------------------------------


root_only = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounts need root")


@pytest.fixture
def tiny_disk(tmp_path, stack):
    """A file system of 1 MiB, mounted for the time of the test; None where that is not allowed."""
    where = os.path.join(tmp_path, "disk")
    os.mkdir(where)
    done = run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", where])
    if done.returncode != 0:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    stack.callback(run, ["umount", "-l", where])
    return where


def fill(directory):
    with open(os.path.join(directory, "filler"), "ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


@root_only
def test_a_read_only_data_directory(tiny_disk, node_env):
    run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    refuse(NODE, {**node_env, "TOWONEL_DATA_DIR": tiny_disk}, tiny_disk, "Read-only file system")


@root_only
def test_a_full_data_directory_at_start(tiny_disk, node_env):
    """A service manager is to try again, unlike after a bad setting."""
    env = {**node_env, "TOWONEL_DATA_DIR": tiny_disk}
    fill(tiny_disk)
    refuse(NODE, env, tiny_disk, "No space left on device", status=1)
    os.truncate(os.path.join(tiny_disk, "filler"), 1_000_000)
    refuse(NODE, env, tiny_disk, "hub.db", "the database answers", status=1)


@root_only
def test_a_data_directory_that_fills_up_later(tiny_disk, make_node, make_agent, stack):
    origin = Origin("origin")
    stack.callback(origin.close)
    node = make_node(start=False)
    node.env["TOWONEL_DATA_DIR"] = node.data_dir = tiny_disk
    node.start()
    token = node.invite(NAME)
    make_agent(token, [origin.service(NAME)])
    fill(tiny_disk)

    acknowledged = [NAME]
    for number in range(200):
        name = f"n{number}.example.eu"
        done = node.towonel("invite", "create", "--hostnames", name)
        if done.returncode != 0:
            break
        acknowledged.append(name)
    assert done.returncode == 1 and done.stdout == "", "the disk is full, and the hub has not noticed"
    assert "towonel: " in done.stderr and len(done.stderr.splitlines()) == 1
    answer = Api(node).post("/v1/invites", {"hostnames": ["one.more.example.eu"]})
    assert answer.status == 503 and answer.code == "unavailable"
    assert visit(node.edge_port, NAME) == "origin"
    assert node.process.running()
    wait_until(lambda: node.hub_ready()[0] == 503, "the hub says that it is not ready")
    # Reading goes on.
    assert sorted(sum((invite["hostnames"] for invite in node.invites()), [])) == sorted(acknowledged)

    os.remove(os.path.join(tiny_disk, "filler"))

    def works_again():
        return node.towonel("invite", "create", "--hostnames", "again.example.eu").returncode == 0
    wait_until(works_again, "writes work again")
    acknowledged.append("again.example.eu")
    wait_until(lambda: node.hub_ready()[0] == 200, "the hub is ready again")
    node.kill()
    node.start()
    assert sorted(sum((invite["hostnames"] for invite in node.invites()), [])) == sorted(acknowledged)
