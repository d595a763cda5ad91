# SPDX-License-Identifier: MIT
"""Visitors that mean harm, or look like it: what they cost stays theirs."""

import os
import socket
import ssl
import time

import pytest

from support.origins import curl

NAME = "app.alice.example.eu"


def visit(port, cacert, receive_buffer=None):
    """A TLS connection through the edge, verified as curl would."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(20)
    sock.connect(("127.0.0.1", port))
    return ssl.create_default_context(cafile=cacert).wrap_socket(sock, server_hostname=NAME)


@pytest.fixture
def tunnel(make_node, make_agent, make_nginx):
    nginx = make_nginx(NAME)
    node = make_node()
    agent = make_agent(node.invite(NAME), [{"hostname": NAME, "origin": nginx.address}])
    with open(os.path.join(nginx.root, "big"), "wb") as file:
        file.truncate(64 << 20)
    return node, agent, nginx


@pytest.mark.parametrize("read_first", [0, 24 << 20])
def test_visitors_who_read_nothing_do_not_hold_up_others(tunnel, authority, read_first):
    """Each of them leaves a stream's flow control window full: together more than the connection's."""
    node, agent, _ = tunnel
    stalled = []
    try:
        for _ in range(30):
            visitor = visit(node.edge_port, authority.cert, 65536)
            visitor.sendall(f"GET /big HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            left = read_first
            while left > 0:
                left -= len(visitor.recv(65536))
            stalled.append(visitor)
        time.sleep(1)
        done = curl(NAME, node.edge_port, cacert=authority.cert, path="/who", timeout=10)
        assert done.returncode == 0, done.stderr
    finally:
        for visitor in stalled:
            visitor.close()


def test_no_secrets_are_written_where_the_environment_says(make_node, make_agent, tmp_path):
    """SSLKEYLOGFILE is for debugging a browser; curl's library would follow it."""
    files = [tmp_path / name for name in ("node.keys", "cli.keys", "agent.keys")]
    node = make_node(SSLKEYLOGFILE=files[0])
    done = node.towonel("invite", "create", "--name", "alice", "--hostnames", NAME,
                        env={"SSLKEYLOGFILE": files[1]})
    assert done.returncode == 0, done.stderr
    make_agent(done.stdout.strip(), [{"hostname": NAME, "origin": "127.0.0.1:1"}],
               SSLKEYLOGFILE=files[2])
    assert not [file for file in files if file.exists()]
