# SPDX-License-Identifier: MIT
"""Certificates on demand, from a real ACME server (pebble), while it refuses half of the nonces."""

import base64
import errno
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
from cryptography import x509

from support.origins import curl
from support.pebble import Pebble
from support.process import BUILD, PATIENCE, free_port, metric, run, wait_until

NAME = "app.alice.example.eu"
WILDCARD = "*.alice.example.eu"


class PlainOrigin:
    """Answers every GET with 'hello'."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "6")
                self.end_headers()
                self.wfile.write(b"hello\n")

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site(tmp_path, stack, authority, make_node, make_agent):
    """A node that asks pebble, and an agent whose service ends its TLS at the edge."""
    def make(hostname=NAME, pebble=None, agent=True, **env):
        result = type("Site", (), {})()
        result.origin = PlainOrigin()
        stack.callback(result.origin.close)
        result.http_port = free_port()
        result.node = make_node(start=False)
        result.pebble = Pebble(tmp_path, authority, result.http_port, result.node.edge_port, **(pebble or {}))
        stack.callback(result.pebble.close)
        result.cert_dir = os.path.join(result.node.data_dir, "certs")
        result.node.env.update({
            "TOWONEL_EDGE_TLS_ACME_EMAIL": "admin@example.eu",
            "TOWONEL_EDGE_TLS_ACME_DIRECTORY": result.pebble.url,
            "TOWONEL_EDGE_TLS_ACME_CA_FILE": authority.cert,
            "TOWONEL_EDGE_TLS_CERT_DIR": result.cert_dir,
            "TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR": f"127.0.0.1:{result.http_port}",
            **env})
        result.pebble.start()
        result.node.start()
        if not agent:
            return result
        result.agent = make_agent(result.node.invite(hostname), [
            {"hostname": hostname, "origin": result.origin.address, "tls_mode": {"mode": "terminate"},
             "forwarded_headers": False}])
        wait_until(lambda: metric(result.node.edge_metrics(), "towonel_edge_hostnames") == 1,
                   "the edge has the hostname")
        return result
    return make


def visit(site, name=NAME, cacert=None, **options):
    return curl(name, site.node.edge_port, cacert=cacert or site.pebble.root(), path="/", **options)


def assert_served(site, name=NAME):
    done = visit(site, name)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


def assert_refused(site, name=NAME):
    done = visit(site, name)
    assert done.returncode == 35, (done.returncode, done.stdout, done.stderr)


def orders(site):
    return site.pebble.process.log().count("Added order")


def served_serial(site, name=NAME):
    """The serial number of the certificate that visitors get now."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", site.node.edge_port), timeout=PATIENCE) as sock:
        with context.wrap_socket(sock, server_hostname=name) as tls:
            pem = ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))
    done = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, text=True, check=True,
                          stdout=subprocess.PIPE)
    return done.stdout.strip().partition("=")[2]


def restart(site):
    """Starts the node again, and waits for the agent to be back."""
    site.node.start()
    wait_until(lambda: metric(site.node.edge_metrics(), "towonel_edge_agents_connected") == 1, "the agent is back",
               timeout=90)


def saved(site, name=NAME):
    """Waits for the files of a certificate, which are written behind the visitor's back."""
    wait_until(lambda: os.path.exists(os.path.join(site.cert_dir, name + ".crt")), f"{name}.crt is there")


def record(site, name=NAME):
    """What is remembered of a failure, once that is written."""
    path = os.path.join(site.cert_dir, name + ".json")
    wait_until(lambda: os.path.exists(path), f"{path} is there")
    with open(path) as file:
        return json.load(file)


def cert(site, *arguments):
    """`towonel cert` on the edge's own machine."""
    env = {name: value for name, value in site.node.env.items() if name.startswith("TOWONEL_EDGE_")}
    return site.node.towonel("cert", *arguments, env=env)


def listed(site):
    done = cert(site, "list", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["certificates"]


def test_http_01(site):
    s = site()
    assert_served(s)
    assert "challenge=http-01" in s.node.process.log()
    saved(s)
    for name, mode in ((NAME + ".key", 0o600), ("acme_account.key", 0o600), (NAME + ".crt", 0o644)):
        assert os.stat(os.path.join(s.cert_dir, name)).st_mode & 0o777 == mode
    assert_served(s)
    assert orders(s) == 1
    assert s.node.stop() == 0


def test_tls_alpn_01_when_port_80_is_not_ours(site, stack):
    """Another server has it; without root's rights it may not be had anyway."""
    try:
        stack.enter_context(socket.create_server(("0.0.0.0", 80)))
    except PermissionError:
        pass
    except OSError as error:
        assert error.errno == errno.EADDRINUSE
    s = site(TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR=None)
    assert "no redirects from plain HTTP" in s.node.process.log()
    assert_served(s)
    assert 'challenge=tls-alpn-01' in s.node.process.log()
    assert orders(s) == 1


def test_tls_alpn_01_when_port_80_cannot_be_reached(site, tmp_path):
    """The authority finds nobody on port 80, and is asked to look at 443."""
    s = site(TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR=f"127.0.0.1:{free_port()}")
    assert_served(s)
    log = s.node.process.log()
    assert "asked to look elsewhere" in log and "challenge=tls-alpn-01" in log
    assert orders(s) == 2


def test_an_external_account(site):
    kid, mac = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    s = site(pebble={"binding": (kid, mac)}, TOWONEL_EDGE_TLS_ACME_EAB_KID=kid,
             TOWONEL_EDGE_TLS_ACME_EAB_HMAC=mac)
    assert_served(s)
    assert mac not in s.node.process.log()


def test_an_external_account_that_is_missing_is_said(site):
    s = site(pebble={"binding": ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W")})
    assert_refused(s)
    assert "set TOWONEL_EDGE_TLS_ACME_EAB_KID" in s.node.process.log()


def test_the_account_follows_the_address(site):
    s = site(WILDCARD, pebble={"reject": 0})
    assert_served(s, "first.alice.example.eu")
    for label, address, told in (("a", "admin@example.eu", 0), ("b", "other@example.eu", 1),
                                 ("c", "other@example.eu", 1)):
        s.node.stop()
        s.node.env["TOWONEL_EDGE_TLS_ACME_EMAIL"] = address
        restart(s)
        assert_served(s, f"{label}.alice.example.eu")
        assert s.pebble.process.log().count("POST /my-account/") == told


def test_failing_validation_says_what_to_fix_and_cools_down(site):
    """DNS points to another address: nobody is there, neither on port 80 nor on 443."""
    s = site()
    s.pebble.set_address(NAME, "127.0.0.9")
    assert_refused(s)
    assert re.search(r"could not be obtained .*does not answer: let it through", s.node.process.log())
    first = orders(s)
    assert first == 2  # one for each way
    retry_at = record(s)["retry_at_ms"] / 1000
    assert time.time() + 200 < retry_at < time.time() + 301
    assert_refused(s)
    assert orders(s) == first
    # The cooldown survives a restart.
    s.node.stop()
    restart(s)
    assert_refused(s)
    assert orders(s) == first
    wait_until(lambda: metric(s.node.edge_metrics(), "towonel_edge_certificates", state="failed") == 1,
               "the metrics have it")
    (entry,) = listed(s)
    assert entry["name"] == NAME and entry["state"] == "failed" and "does not answer" in entry["last_error"]


def test_a_name_without_an_address(site):
    s = site()
    s.pebble.set_servfail(NAME)
    assert_refused(s)
    assert "see that all of the name's DNS records (A, AAAA) point here" in s.node.process.log()


def test_another_server_on_port_80(site, stack):
    s = site()
    s.pebble.set_address(NAME, "127.0.0.8")
    server = http.server.ThreadingHTTPServer(("127.0.0.8", s.http_port), http.server.SimpleHTTPRequestHandler)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert_refused(s)
    assert re.search(r"what answers on port 80 of \S+ is not this edge", s.node.process.log())


def test_a_name_that_the_authority_refuses(site):
    s = site(hostname="blocked.example.eu")
    assert_refused(s, "blocked.example.eu")
    assert "use another name, or another authority" in s.node.process.log()


def test_a_wildcard_service_gets_a_certificate_for_each_name(site):
    s = site(hostname=WILDCARD)
    for label in ("one", "two", "three"):
        assert_served(s, f"{label}.alice.example.eu")
        saved(s, f"{label}.alice.example.eu")
    assert orders(s) == 3
    names = {file for file in os.listdir(s.cert_dir) if file.endswith(".crt")}
    assert names == {f"{label}.alice.example.eu.crt" for label in ("one", "two", "three")}


def test_names_that_no_service_matches_never_cause_an_order(site):
    s = site(hostname=WILDCARD)
    for name in ("app.bob.example.eu", "a.b.alice.example.eu", "alice.example.eu", "localhost"):
        assert_refused(s, name)
    # A service without an agent is not live.
    s.agent.stop()
    wait_until(lambda: metric(s.node.edge_metrics(), "towonel_edge_agents_connected") == 0, "the agent is gone",
               timeout=90)
    assert_refused(s, "one.alice.example.eu")
    assert orders(s) == 0
    assert not os.path.isdir(s.cert_dir) or not [f for f in os.listdir(s.cert_dir) if f.endswith((".crt", ".json"))]


def test_fifty_visitors_share_one_order(site):
    s = site()
    results = []

    def run_one():
        results.append(visit(s, cacert=root))

    root = s.pebble.root()
    threads = [threading.Thread(target=run_one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.stdout for r in results] == ["hello\n"] * 50, {r.stderr for r in results}
    assert orders(s) == 1


def test_the_authority_goes_down_and_comes_back(site):
    s = site()
    root = s.pebble.root()
    s.pebble.stop()
    visitor = threading.Thread(target=lambda: visit(s, cacert=root))
    visitor.start()
    s.node.process.wait_log("could not be obtained yet")
    s.pebble.start()  # another one, in fact, that knows no account
    visitor.join()
    saved(s)
    assert_served(s)
    # And once more, when an account was known: it is made again.
    s.pebble.stop()
    s.pebble.start()
    for suffix in (".crt", ".key", ".json"):
        os.unlink(os.path.join(s.cert_dir, NAME + suffix))
    time.sleep(1.1)  # files are looked at once a second
    assert_served(s)


def test_a_restart_in_mid_issuance(site, tmp_path):
    """Killed while the authority validates; the account is the same afterwards, and all is well."""
    s = site()
    s.pebble.stop()
    s.pebble.env.update({"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "5"})
    s.pebble.start()
    root = s.pebble.root()
    visitor = threading.Thread(target=lambda: visit(s, cacert=root))
    visitor.start()
    wait_until(lambda: orders(s) == 1, "the order is there")
    s.node.kill()
    visitor.join()
    with open(os.path.join(s.cert_dir, "acme_account.key")) as file:
        key = file.read()
    restart(s)
    assert_served(s)
    with open(os.path.join(s.cert_dir, "acme_account.key")) as file:
        assert file.read() == key


def test_renewal_while_traffic_flows(site):
    """Certificates of 15 seconds are renewed after 10, and nobody waits for it or fails."""
    s = site(pebble={"lifetime": 15})
    assert_served(s)
    first = served_serial(s)
    root, failures, done = s.pebble.root(), [], threading.Event()

    def keep_visiting():
        while not done.is_set():
            answer = visit(s, cacert=root)
            if answer.stdout != "hello\n":
                failures.append(answer.stderr)
            time.sleep(0.2)

    visitors = [threading.Thread(target=keep_visiting) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    try:
        wait_until(lambda: served_serial(s) != first, "a new certificate is served", timeout=60)
    finally:
        done.set()
        for visitor in visitors:
            visitor.join()
    assert not failures
    assert metric(s.node.edge_metrics(), "towonel_edge_certificates_obtained_total") >= 2


class RenewalInfo:
    """pebble's directory, and what pebble does not have: when to renew (RFC 9773). Now, it says."""

    def __init__(self, pebble, certificate, key):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/dir":
                    answer = json.loads(pebble.get("/dir"))
                    answer["renewalInfo"] = self.server.url + "/renewal"
                else:
                    asked.append(self.path)
                    answer = {"suggestedWindow": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Retry-After", "21600")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.url = f"https://localhost:{self._server.server_address[1]}"
        self.directory = self._server.url + "/dir"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def renewal_id(path):
    """RFC 9773 section 4.1, by another implementation."""
    with open(path, "rb") as file:
        certificate = x509.load_pem_x509_certificate(file.read())
    key_id = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = certificate.serial_number.to_bytes(certificate.serial_number.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (key_id, serial))


def test_the_authority_says_when_to_renew(site, authority, stack):
    s = site()
    info = RenewalInfo(s.pebble, *authority.issue("localhost"))
    stack.callback(info.close)
    s.node.stop()
    s.node.env["TOWONEL_EDGE_TLS_ACME_DIRECTORY"] = info.directory
    restart(s)
    assert_served(s)
    first = served_serial(s)
    saved(s)
    identifier = renewal_id(os.path.join(s.cert_dir, NAME + ".crt"))
    s.node.stop()
    restart(s)
    s.node.process.wait_log("the authority suggests when to renew")
    assert info.asked == [f"/renewal/{identifier}"]
    wait_until(lambda: served_serial(s) != first, "a new certificate is served")


def test_an_expired_certificate_in_the_directory_is_replaced(site):
    s = site(pebble={"lifetime": 6})
    assert_served(s)
    first = served_serial(s)
    s.node.stop()
    time.sleep(7)
    restart(s)
    assert_served(s)
    assert served_serial(s) != first


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system read-only: needs root")
def test_a_directory_that_cannot_be_written_to(site, tmp_path, stack):
    s = site()
    os.makedirs(s.cert_dir, exist_ok=True)
    s.node.stop()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", s.cert_dir], stderr=subprocess.PIPE).returncode:
        pytest.skip("mounting is not allowed here")
    stack.callback(lambda: subprocess.run(["umount", "-l", s.cert_dir], check=True))
    restart(s)
    assert_served(s)
    log = s.node.process.log()
    assert "the key of the ACME account is kept in memory only" in log
    wait_until(lambda: "a certificate is kept in memory only" in s.node.process.log(), "it is said")
    assert_served(s)
    assert orders(s) == 1


def test_port_80_redirects(site):
    s = site()
    base = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"]
    done = run([*base, "--resolve", f"{NAME}:{s.http_port}:127.0.0.1", f"http://{NAME}:{s.http_port}/a?b=c"])
    assert done.stdout == f"308 https://{NAME}:{s.node.edge_port}/a?b=c"
    done = run([*base, "-H", "Host: other.example.eu", f"http://127.0.0.1:{s.http_port}/"])
    assert done.stdout == "404 "
    done = run([*base, f"http://127.0.0.1:{s.http_port}/.well-known/acme-challenge/unknown"])
    assert done.stdout == "404 "


def test_list_and_revoke(site):
    s = site()
    done = cert(s, "list")
    assert done.returncode == 0 and "No name" in done.stdout, done
    assert_served(s)
    serial = served_serial(s)
    done = cert(s, "list")
    assert done.returncode == 0, done.stderr
    assert NAME in done.stdout and "Pebble" in done.stdout and "served" in done.stdout
    (entry,) = listed(s)
    assert (entry["name"], entry["state"], entry["last_error"]) == (NAME, "served", "")
    assert entry["not_after_ms"] / 1000 > time.time()
    wait_until(lambda: metric(s.node.edge_metrics(), "towonel_edge_certificate_soonest_expiry_seconds") ==
               entry["not_after_ms"] // 1000, "the metrics have it")

    done = cert(s, "revoke", "--hostname", NAME)
    assert done.returncode == 0, done.stderr
    assert s.pebble.status(serial.lower()) == "Revoked"
    assert not os.path.exists(os.path.join(s.cert_dir, NAME + ".crt"))
    time.sleep(1.1)  # files are looked at once a second
    assert_served(s)
    assert served_serial(s) != serial
    done = cert(s, "revoke", "--hostname", "other.example.eu")
    assert done.returncode == 1 and "other.example.eu" in done.stderr


HUB = "hub.example.eu"


def health(port, cacert, name=HUB):
    """The hub's API as an ordinary client sees it, who believes in certificates."""
    return run(["curl", "-sS", "--cacert", cacert, "--resolve", f"{name}:{port}:127.0.0.1",
                f"https://{name}:{port}/v1/health"])


@pytest.mark.parametrize("http", [True, False], ids=["http-01", "tls-alpn-01"])
def test_the_hubs_name_has_a_certificate_on_both_ports(site, http):
    """Those who know the hub by its key go on as before, by either port too."""
    more = {} if http else {"TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR": f"127.0.0.1:{free_port()}"}
    s = site(agent=False, TOWONEL_HUB_PUBLIC_URL=f"https://{HUB}:8443", **more)
    saved(s, HUB)  # nobody has to come for it
    for port in (s.node.hub_port, s.node.edge_port):
        done = health(port, s.pebble.root())
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["status"] == "ok"
        node_id = json.loads(done.stdout)["node_id"]
        listed_by_key = s.node.towonel("tenant", "list", "--hub-url", f"https://127.0.0.1:{port}#{node_id}")
        assert listed_by_key.returncode == 0, listed_by_key.stderr
        wrong = s.node.towonel("tenant", "list", "--hub-url", f"https://127.0.0.1:{port}#{'1' * 64}")
        assert wrong.returncode == 1


def test_without_a_certificate_the_hub_shows_its_key_on_both_ports(site):
    s = site(agent=False, TOWONEL_EDGE_TLS_ACME_EMAIL=None, TOWONEL_EDGE_TLS_ACME_DIRECTORY=None,
             TOWONEL_EDGE_TLS_ACME_CA_FILE=None, TOWONEL_HUB_PUBLIC_URL=f"https://{HUB}:8443")
    for port in (s.node.hub_port, s.node.edge_port):
        done = run(["curl", "-sSk", "--resolve", f"{HUB}:{port}:127.0.0.1", f"https://{HUB}:{port}/v1/health"])
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("blamed, settings", [
    ("ACME_EMAIL", {"ACME_EMAIL": "nobody"}),
    ("ACME_DIRECTORY", {"ACME_DIRECTORY": "https://ca.example.eu/dir"}),
    ("ACME_STAGING", {"ACME_STAGING": "true"}),
    ("ACME_EAB_HMAC", {"ACME_EAB_HMAC": "c2VjcmV0"}),
    ("ACME_STAGING", {"ACME_EMAIL": "a@b.eu", "ACME_STAGING": "true", "ACME_DIRECTORY": "https://ca.example.eu/dir"}),
    ("ACME_DIRECTORY", {"ACME_EMAIL": "a@b.eu", "ACME_DIRECTORY": "http://ca.example.eu/dir"}),
    ("ACME_CA_FILE", {"ACME_EMAIL": "a@b.eu", "ACME_CA_FILE": "/dev/null/ca.pem"}),
    ("ACME_EAB_KID", {"ACME_EMAIL": "a@b.eu", "ACME_EAB_HMAC": "c2VjcmV0"}),
    ("ACME_EAB_HMAC", {"ACME_EMAIL": "a@b.eu", "ACME_EAB_KID": "kid"}),
    ("ACME_EAB_HMAC", {"ACME_EMAIL": "a@b.eu", "ACME_EAB_KID": "kid", "ACME_EAB_HMAC": "not base64url"}),
    ("HTTP_LISTEN_ADDR", {"HTTP_LISTEN_ADDR": "80"}),
    ("HTTP_LISTEN_ADDR", {"HTTP_LISTEN_ADDR": "192.0.2.1:80"}),
])
def test_settings_that_cannot_be_meant(make_node, blamed, settings):
    node = make_node(start=False, **{f"TOWONEL_EDGE_TLS_{name}": value for name, value in settings.items()})
    done = run([f"{BUILD}/towonel-node"], env=node.env)
    assert done.returncode == 2, done.stderr
    assert f"TOWONEL_EDGE_TLS_{blamed}" in done.stderr.splitlines()[-1]
    assert "c2VjcmV0" not in done.stderr
