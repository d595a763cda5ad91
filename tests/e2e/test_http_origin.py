# SPDX-License-Identifier: MIT
"""Origins that get certificates of their own while their TLS passes through: port 80 of the edge leads ACME's questions
to "http_origin", and nothing else."""

import os
import socket
import threading

import pytest

from support.origins import curl
from support.pebble import Pebble
from support.process import free_port, metric, run, wait_until

NAME = "app.alice.example.eu"
FOLDER = "/.well-known/acme-challenge/"


@pytest.fixture
def site(stack, make_node, make_agent, make_nginx):
    """A node with port 80, nginx with TLS, and nginx without, which has the folder of challenges."""
    def make(hostname=NAME, name=NAME, http_origin=None, services=None, tls=None):
        result = type("Site", (), {})()
        result.http_port = free_port()
        result.tls = tls or make_nginx(name)
        result.plain = make_nginx(name, tls=False, http2=False, proxy_protocol=False)
        result.folder = result.plain.root + FOLDER
        os.makedirs(result.folder)
        # Port 80 is one worker's, and the agent's tunnel any one's.
        result.node = make_node(TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR=f"127.0.0.1:{result.http_port}",
                                TOWONEL_EDGE_WORKERS="4")
        result.agent = make_agent(result.node.invite(hostname), services or [
            {"hostname": hostname, "origin": result.tls.address, "http_origin": http_origin or result.plain.address}])
        wait_until(lambda: metric(result.node.edge_metrics(), "towonel_edge_hostnames") == 1, "the edge has the name")
        return result
    return make


def publish(site, token, text):
    with open(site.folder + token, "w") as file:
        file.write(text)


def ask(site, path, *more, name=NAME):
    """Status and body."""
    done = curl(name, site.http_port, "-w", "\n%{http_code}", *more, scheme="http", path=path)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_an_acme_client_behind_the_tunnel(tmp_path, stack, authority, site):
    """dehydrated proves control of the name by a file that nginx shows, and a visitor gets the certificate it was
    given: the edge has no part in it."""
    s = site()
    pebble = Pebble(tmp_path, authority, s.http_port, s.node.edge_port, reject=0)
    stack.callback(pebble.close)
    pebble.start()
    home = tmp_path / "dehydrated"
    home.mkdir()
    (home / "config").write_text(f"""
CA="{pebble.url}"
BASEDIR="{home}"
WELLKNOWN="{s.folder.rstrip('/')}"
CURL_OPTS="--noproxy * --cacert {authority.cert}"
KEY_ALGO=prime256v1
""")
    base = ["dehydrated", "--config", home / "config"]
    run([*base, "--register", "--accept-terms"], check=True, timeout=60)
    run([*base, "--cron", "--domain", NAME], check=True, timeout=60)
    s.tls.stop()
    with open(s.tls.config) as file:
        text = file.read()
    made = home / "certs" / NAME
    before = text[text.index("ssl_certificate "):text.index("ssl_protocols")]
    after = f"ssl_certificate {made}/fullchain.pem; ssl_certificate_key {made}/privkey.pem; "
    with open(s.tls.config, "w") as file:
        file.write(text.replace(before, after))
    s.tls.start()
    done = curl(NAME, s.node.edge_port, cacert=pebble.root(), path="/who")
    assert (done.returncode, done.stdout) == (0, "127.0.0.1\n"), done.stderr
    s.plain.wait_log(f'"GET {FOLDER}')
    assert metric(s.node.edge_metrics(), "towonel_edge_http_requests_total", answer="forwarded") >= 1


def test_only_challenges_go_there(site):
    s = site()
    publish(s, "tok_en-1", "tok_en-1.thumb")
    with open(s.plain.root + "/secret", "w") as file:
        file.write("secret")
    assert ask(s, FOLDER + "tok_en-1") == (200, "tok_en-1.thumb")
    more = ("-H", "Cookie: a=b", "-H", "X-Forwarded-For: 9.9.9.9")
    assert ask(s, FOLDER + "tok_en-1?x=y", *more) == (200, "tok_en-1.thumb")
    assert ask(s, FOLDER + "tok_en-1", "--head")[0] == 200
    assert ask(s, FOLDER + "none")[0] == 404
    assert ask(s, "/secret")[0] == 308
    for path in ("../secret", "..%2f..%2fsecret", "%2e%2e%2fsecret", "a%20b", "x" * 200, "", "a/b", "tok_en-1%00"):
        status, body = ask(s, FOLDER + path, "--path-as-is")
        assert status in (308, 404) and "secret" not in body, path
    assert ask(s, FOLDER + "tok_en-1", "-X", "POST", "-d", "x")[0] == 308
    assert ask(s, FOLDER + "tok_en-1", name="other.example.eu")[0] == 404
    requests = [line for line in s.plain.log().splitlines()]
    assert all(f'GET {FOLDER}' in line and " HTTP/1.1" in line for line in requests), requests
    assert len(requests) == 4


def test_an_origin_that_does_not_answer(site, make_raw_origin):
    """Each way of failing is told, and none takes the others along."""
    answers = {
        "long": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000,
        "closed": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx",
        "other": b"SSH-2.0-OpenSSH_9.2\r\n",
        "there": b"HTTP/1.1 302 There\r\nLocation: https://elsewhere.example.eu/x\r\nContent-Length: 0\r\n\r\n",
        "early": b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.0 200 OK\r\n\r\ntext",
    }

    def serve(sock, _):
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        sock.sendall(answers[head.split()[1].decode().rpartition("/")[2]])
    origin = make_raw_origin(serve, proxy=False, hello=False)
    s = site(http_origin=origin.address)
    got = {}
    threads = [threading.Thread(target=lambda n=name: got.update({n: ask(s, FOLDER + n, "-i")})) for name in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: status for name, (status, _) in got.items()} == {
        "long": 502, "closed": 502, "other": 502, "there": 302, "early": 200}
    assert "\nLocation: https://elsewhere.example.eu/x\n" in got["there"][1]
    assert got["early"][1].endswith("\n\ntext")
    origin.close()
    wait_until(lambda: ask(s, FOLDER + "early")[0] == 502, "nobody listens there")
    s.agent.process.kill()
    assert ask(s, FOLDER + "early")[0] in (502, 504)


def test_a_slow_origin_is_in_nobody_elses_way(site, stack, make_raw_origin, make_agent):
    """As many questions as an edge carries at once, all to a tenant that answers none of them."""
    over = threading.Event()
    slow = make_raw_origin(lambda *_: over.wait(), proxy=False, hello=False)
    s = site(http_origin=slow.address)
    stack.callback(over.set)
    bob = "app.bob.example.eu"
    make_agent(s.node.invite(bob, name="bob"), [
        {"hostname": bob, "origin": s.tls.address, "http_origin": s.plain.address}])
    publish(s, "token", "text")
    wait_until(lambda: ask(s, FOLDER + "token", name=bob) == (200, "text"), "bob's agent is there")
    for _ in range(80):
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", s.http_port)))
        sock.sendall(f"GET {FOLDER}token HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    wait_until(lambda: metric(s.node.edge_metrics(), "towonel_edge_http_requests_total", answer="forwarded") >= 81,
               "all have been asked")
    assert ask(s, FOLDER + "token")[0] == 503
    assert ask(s, FOLDER + "token", name=bob) == (200, "text")


def test_a_wildcard_and_a_service_without(site):
    s = site(hostname="*.alice.example.eu", name="*.alice.example.eu")
    publish(s, "token", "text")
    assert ask(s, FOLDER + "token", name="one.alice.example.eu") == (200, "text")
    assert ask(s, FOLDER + "token", name="a.b.alice.example.eu")[0] == 404
    s.agent.stop()


def test_a_service_gets_one_by_a_reload(site, tmp_path, make_nginx):
    """The hub's entry changes, and edges hear of it."""
    path = tmp_path / "services.json"
    tls = make_nginx(NAME)
    path.write_text('[{"hostname":"%s","origin":"%s"}]' % (NAME, tls.address))
    s = site(services=f"@{path}", tls=tls)
    publish(s, "token", "text")
    assert ask(s, FOLDER + "token")[0] == 404
    path.write_text('[{"hostname":"%s","origin":"%s","http_origin":"%s"}]' % (NAME, tls.address, s.plain.address))
    s.agent.process.signal(1)
    wait_until(lambda: ask(s, FOLDER + "token") == (200, "text"), "the edge asks the origin")
