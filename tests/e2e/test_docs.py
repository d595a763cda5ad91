# SPDX-License-Identifier: MIT
"""What the guides tell people to do, done."""

import os
import re
import shlex

import pytest

from support.docs import ROOT, block, blocks, examples, sections, settings
from support.netns import Router, needs_namespaces
from support.process import BUILD, VARIANT, Process, free_port, metric, run, wait_until
from support.ssh import Ssh
from support.towonel import http_get

NAME = "app.alice.example.eu"
README = sections("README.md")
RECIPES = sections("docs/recipes.md")
OPERATIONS = sections("docs/operations.md")


# The agent's settings, told in a block each.
AGENTS = {
    **{name: block(text) for name, text in RECIPES.items() if blocks(text)},
    **{f"README {number}": text for number, text in enumerate(blocks(README["Services"]))},
    **{f"manual {number}": text for number, text in enumerate(examples("towonel-services.5"))},
}


def with_free_ports(env):
    return {name: re.sub(r'(?<="listen_port":)\d+', lambda match: str(free_port()), value)
            for name, value in env.items()}


@pytest.mark.parametrize("told", AGENTS.values(), ids=AGENTS)
def test_services(make_node, make_agent, told):
    env = with_free_ports(settings(told))
    assert env
    node = make_node()
    make_agent(node.invite("*.alice.example.eu"), **env)
    ports = sum(value.count('"listen_port"') for value in env.values())
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == ports, "the ports are bound")


def test_backup_and_restore(make_node, make_agent, tmp_path):
    node = make_node()
    token = node.invite(NAME)
    backup = tmp_path / "backup"
    backup.mkdir()
    env = {"TOWONEL_DATA_DIR": node.data_dir, "BACKUP": backup}
    run(["bash", "-euc", block(OPERATIONS["Backup"])], env=env, check=True)
    node.stop()
    os.rename(node.data_dir, node.data_dir + ".lost")
    run(["bash", "-euc", block(OPERATIONS["Restore"])], env=env, check=True)
    node.start()
    assert [invite["hostnames"] for invite in node.invites()] == [[NAME]]
    make_agent(token, [{"hostname": NAME, "origin": "127.0.0.1:9"}])  # ready: hub and edge know it


def test_is_it_well(make_node):
    node = make_node()
    env = {"TOWONEL_DATA_DIR": node.data_dir, "TOWONEL_HUB_URL": node.hub_url,
           "PATH": f"{BUILD}:{os.environ['PATH']}"}
    command = block(OPERATIONS["Is it well?"])
    assert run(["bash", "-euc", command], env=env).returncode == 0
    node.stop()
    assert run(["bash", "-euc", command], env=env).returncode == 1


def test_the_doctor(make_node):
    node = make_node()
    command = block(sections("docs/troubleshooting.md")[""])
    env = {**node.env, "PATH": f"{BUILD}:{os.environ['PATH']}"}
    assert run(["bash", "-euc", command], env=env).returncode == 0
    node.stop()
    assert run(["bash", "-euc", command], env=env).returncode == 1


def test_the_demo():
    done = run(["make", "-C", ROOT, "--no-print-directory", "demo", "NO_PACKAGES=1",
                f"BUILD={os.path.relpath(BUILD, ROOT)}", f"CC={os.environ.get('CC', 'gcc')}", *VARIANT], timeout=200,
               env={"HOME": os.environ["HOME"]})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hello from behind the tunnel. You are 127.0.0.1." in done.stdout


@needs_namespaces
def test_the_page_by_ssh(make_node, stack, tmp_path):
    router = Router(stack)
    server, here = router.host("server"), router.host("here")
    with server:
        node = make_node(start=False, TOWONEL_HUB_HEALTH_LISTEN_ADDR="127.0.0.1:9091")
        node.hub_health_port = 9091
        node.start().invite(NAME)
        ssh = Ssh(tmp_path, host=server.address)
    stack.callback(ssh.close)
    command = blocks(OPERATIONS["Is it well?"])[2]
    told = shlex.split(command, comments=True)
    with here:
        client = Process(["ssh", *ssh.options, "-p", ssh.port, "-N", *told[1:-1], told[-1].replace("HOST", ssh.there)],
                         tmp_path / "ssh.log")
        stack.callback(client.kill)
        url = re.search(r"http://\S+", command)[0]
        page = wait_until(lambda: (answer := http_get(url))[0] == 200 and answer[1], "the page comes")
        assert "<title>towonel" in page
        assert "alice" in http_get(url + ".json")[1], "to a user of the host it names tenants"
