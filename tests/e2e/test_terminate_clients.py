# SPDX-License-Identifier: MIT
"""Strangers' tools against TLS that ends at the edge: a browser, scanners, slow and many clients."""

import hashlib
import json
import os
import re
import subprocess
import xml.etree.ElementTree

import pytest

from support.origins import curl
from support.process import Process, free_port, metric, run, wait_until
from support.terminated import put_certificate, terminated
from support.web_origin import UPLOAD, WebOrigin

NAME = "app.alice.example.eu"


@pytest.fixture
def serve(make_tunnel, authority):
    def make(origin):
        node, _ = make_tunnel({NAME: terminated(origin)})
        put_certificate(node, authority, NAME)
        return node
    return make


@pytest.fixture
def web(stack):
    origin = WebOrigin()
    stack.callback(origin.close)
    return origin


@pytest.fixture
def nginx(make_nginx):
    return make_nginx(NAME, tls=False, http2=False, proxy_protocol=False)


def test_a_browser_does_what_browsers_do(serve, web, tmp_path, stack):
    node = serve(web.address)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--ignore-certificate-errors", f"--user-data-dir={tmp_path}/profile",
             "--host-resolver-rules=MAP * 127.0.0.1, EXCLUDE localhost"]
    browser = Process(["chromium", *flags, f"https://{NAME}:{node.edge_port}/"], str(tmp_path / "browser.log"),
                      env={"HOME": str(tmp_path)})
    stack.callback(browser.kill)
    told = web.result(120)
    period = 1 << 17
    body = bytes((i * 7 + (i >> 9)) & 255 for i in range(period)) * (UPLOAD // period)
    host = f"{NAME}:{node.edge_port}"
    assert told == {
        "who": {"X-Forwarded-For": ["127.0.0.1"], "X-Forwarded-Proto": ["https"], "X-Forwarded-Host": [host],
                "Forwarded": [f'for=127.0.0.1;host="{host}";proto=https']},
        "upload": {"size": UPLOAD, "sha256": hashlib.sha256(body).hexdigest()},
        "many": ",".join(f"/n/{n}" for n in range(20)),
        "events": "0,1,2",
        "socket": "5,100000",
    }


def test_sslscan_finds_what_is_meant(serve, nginx):
    node = serve(nginx.address)
    done = run(["sslscan", "--xml=-", f"--sni-name={NAME}", f"127.0.0.1:{node.edge_port}"], timeout=120)
    scan = xml.etree.ElementTree.fromstring(done.stdout)
    ciphers = {cipher.get("cipher") for cipher in scan.iter("cipher")}
    assert ciphers and all(re.search("GCM|CHACHA20", cipher) for cipher in ciphers), ciphers
    assert {group.get("name") for group in scan.iter("group")} <= {
        "secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)", "x25519"}
    assert not [protocol.attrib for protocol in scan.iter("protocol")
                if protocol.get("enabled") == "1" and (protocol.get("type"), protocol.get("version")) not in
                (("tls", "1.2"), ("tls", "1.3"))]
    assert all(found.get("vulnerable") == "0" for found in scan.iter("heartbleed"))


@pytest.mark.timeout(600)
def test_testssl_finds_nothing(serve, nginx, authority, tmp_path):
    node = serve(nginx.address)
    report = tmp_path / "testssl.json"
    subprocess.run(["testssl", "--quiet", "--warnings", "off", "--sneaky", "--ip", "127.0.0.1", "--add-ca",
                    authority.cert, "--jsonfile", str(report), "-p", "-s", "-f", "-U", f"https://{NAME}:{node.edge_port}"],
                   env={**os.environ, "HOME": str(tmp_path)}, stdout=subprocess.DEVNULL, timeout=500)
    found = json.loads(report.read_text())
    assert len(found) > 30
    bad = [(one["id"], one["severity"], one["finding"]) for one in found if one["severity"] not in ("OK", "INFO", "DEBUG")]
    # Asked without a server name, to which there is no answer here; and what testssl says of the OpenSSL it has.
    assert not [one for one in bad if one[0] not in ("secure_renego", "scanTime", "engine_problem")], bad


def named(argv, tmp_path):
    """The command, where the name leads to loopback: these tools take their SNI from the URL."""
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"',
            "sh", *argv]


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a name an address")


def wrap(node, tmp_path, stack, attack):
    """A port of HTTP that HAProxy takes to the edge inside of TLS: slowhttptest sends no server name, and a Host of its
    own, which a head that never ends does not come to."""
    mode = "mode tcp" if attack == "-H" else f"mode http\n    option httpclose\n    http-request set-header Host {NAME}"
    port, config = free_port(), tmp_path / "wrap.cfg"
    config.write_text(f"""
defaults
    timeout connect 5s
    timeout client 10s
    timeout server 10s
listen wrap
    {mode}
    maxconn 1000
    bind 127.0.0.1:{port}
    server edge 127.0.0.1:{node.edge_port} ssl verify none sni str({NAME})
""")
    haproxy = Process(["/usr/sbin/haproxy", "-db", "-f", config], str(tmp_path / "wrap.log"))
    stack.callback(haproxy.kill)
    return port


@pytest.mark.parametrize("attack", ["-H", "-B", "-X"])
def test_slow_clients_keep_nobody_out(serve, nginx, web, authority, tmp_path, stack, attack):
    node = serve(web.address if attack == "-B" else nginx.address)  # somebody has to read the bodies
    with open(os.path.join(nginx.root, "large"), "wb") as file:
        file.truncate(10_000_000)
    port = wrap(node, tmp_path, stack, attack)
    attacker = Process(["slowhttptest", attack, "-c", "300", "-r", "300", "-i", "1", "-l", "8", "-p", "5", "-u",
                        f"http://127.0.0.1:{port}/{'upload' if attack == '-B' else 'large'}"], str(tmp_path / "slow.log"))
    stack.callback(attacker.kill)
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_active_connections") >= 200, "the attack is on")
    done = curl(NAME, node.edge_port, cacert=authority.cert, path="/who")
    assert done.returncode == 0 and "127.0.0.1" in done.stdout, done.stderr
    attacker.wait(60)
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_active_connections") == 0, "all have gone")


@needs_root
def test_a_hundred_connections_are_kept_alive(serve, nginx, tmp_path):
    node = serve(nginx.address)
    done = run(named(["wrk", "-t", "2", "-c", "100", "-d", "2s", "--timeout", "20s",
                      f"https://{NAME}:{node.edge_port}/who"], tmp_path), check=True)
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    assert int(re.search(r"(\d+) requests in", done.stdout).group(1)) > 500
    assert metric(node.edge_metrics(), "towonel_edge_connections_total") <= 101  # one before them, to see who is there
