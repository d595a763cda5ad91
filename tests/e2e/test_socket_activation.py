# SPDX-License-Identifier: MIT
"""A service manager that listens before the node runs: systemd's own stand-in for one, and sockets of the test's."""

import fcntl
import os
import shutil
import socket

import pytest

from support.process import BUILD, Process, run, wait_until
from support.towonel import http_get

NAME = "app.alice.example.eu"


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="needs systemd-socket-activate")
def test_the_node_starts_with_its_first_client(make_node, tmp_path):
    node = make_node(start=False)
    listen = [f"--listen=127.0.0.1:{port}" for port in (node.hub_port, node.edge_port)]
    names = [f"-E{name}" for name in (*node.env, *filter(os.environ.__contains__, ("ASAN_OPTIONS", "UBSAN_OPTIONS")))]
    node.process = Process(["systemd-socket-activate", *listen, *names, f"{BUILD}/towonel-node"], tmp_path / "node.log",
                           env=node.env)
    node.process.wait_log("Listening on")
    assert http_get(f"http://127.0.0.1:{node.hub_health_port}/healthz")[0] == 0, "it does not run yet"
    done = run(["curl", "-sk", f"https://127.0.0.1:{node.hub_port}/v1/health"])
    assert '"ok"' in done.stdout, done.stderr
    wait_until(lambda: node.edge_ready()[0] != 0, "the edge is up")
    # the client that came by the visitors' port is led to the hub as well
    assert run([f"{BUILD}/towonel", "doctor"], env=node.env).returncode == 0
    assert "no setting has" not in node.process.log()


def bound(kind):
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


def pass_on(node, sockets, pid="$$"):
    """Starts the node with the sockets as descriptors 3 and on, as sd_listen_fds(3) has it."""
    aside = [fcntl.fcntl(sock, fcntl.F_DUPFD, 100) for sock in sockets]  # out of the way of where they go
    moves = " ".join(f"{number}<&{fd}" for number, fd in enumerate(aside, 3))
    command = f"LISTEN_PID={pid} LISTEN_FDS={len(aside)} exec {BUILD}/towonel-node {moves}"
    node.process = Process(["bash", "-c", command],
                           os.path.join(node.directory, "node.log"), env=node.env, pass_fds=aside)
    for fd in aside:
        os.close(fd)
    wait_until(node._ready, f"the node is ready: {node.process.log()}")


def test_tunnels_over_a_socket_that_was_passed(make_node, make_agent):
    tunnel, visitors, stray = (bound(kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_STREAM))
    node = make_node(start=False)
    node.edge_port, node.tunnel_port = visitors.getsockname()[1], tunnel.getsockname()[1]
    node.env.update(TOWONEL_EDGE_LISTEN_ADDR=f"127.0.0.1:{node.edge_port}",
                    TOWONEL_EDGE_TUNNEL_LISTEN_ADDR=f"127.0.0.1:{node.tunnel_port}",
                    TOWONEL_EDGE_PUBLIC_ADDRESSES=f"127.0.0.1:{node.tunnel_port}")
    pass_on(node, [tunnel, visitors, stray])
    # bound here all the time: had the node not taken them, it could not have started
    make_agent(node.invite(NAME), [{"hostname": NAME, "origin": "127.0.0.1:9"}])
    told = [line for line in node.process.log().splitlines() if "no setting has" in line]
    assert len(told) == 1 and f"127.0.0.1:{stray.getsockname()[1]}" in told[0]


def test_sockets_of_another_process_are_not_taken(make_node):
    visitors = bound(socket.SOCK_STREAM)
    node = make_node(start=False)
    node.env.update(TOWONEL_EDGE_LISTEN_ADDR=f"127.0.0.1:{visitors.getsockname()[1]}")
    with pytest.raises(AssertionError, match="ended with 2"):
        pass_on(node, [visitors], pid=1)
    assert "TOWONEL_EDGE_LISTEN_ADDR" in node.process.log()
