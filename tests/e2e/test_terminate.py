# SPDX-License-Identifier: MIT
"""TLS that ends at the edge: versions, resumption, protocols, certificates that change, and who is refused."""

import re
import ssl
import subprocess

import pytest

from support.origins import Authority, curl
from support.process import PATIENCE, metric, run, wait_until
from support.terminated import put_certificate, terminated
from support.visitors import TlsVisitor

NAME = "app.alice.example.eu"


@pytest.fixture
def make_terminated(make_tunnel, make_nginx, authority):
    """A tunnel to nginx without TLS, and the name's certificate at the edge."""
    def make(name=NAME, nginx_options=None, **fields):
        nginx = make_nginx(name, tls=False, **{"http2": False, "proxy_protocol": False, **(nginx_options or {})})
        node, agent = make_tunnel({name: terminated(nginx.address, **(fields or {"forwarded_headers": False}))})
        put_certificate(node, authority, name)
        return node, agent, nginx
    return make


def s_client(port, *arguments, name=NAME, text="GET /who HTTP/1.1\r\nHost: " + NAME + "\r\nConnection: close\r\n\r\n"):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, "-ign_eof",
                           *arguments],
                          input=text, capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout + done.stderr


@pytest.mark.parametrize("options", [[], ["--http1.1"], ["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3"],
                                     ["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305"]])
def test_curl_gets_a_page(make_terminated, authority, options):
    node, _, nginx = make_terminated()
    done = curl(NAME, node.edge_port, *options, cacert=authority.cert, path="/who")
    assert (done.returncode, done.stdout) == (0, "127.0.0.1\n"), done.stderr
    assert metric(node.edge_metrics(), "towonel_edge_tls_handshakes_total") == 1


def test_the_origin_learns_who_visits_by_proxy_protocol(make_terminated, authority):
    node, _, nginx = make_terminated(nginx_options={"proxy_protocol": True}, proxy_protocol="v2", forwarded_headers=False)
    done = curl(NAME, node.edge_port, "--interface", "127.0.0.7", cacert=authority.cert, path="/who")
    assert (done.returncode, done.stdout) == (0, "127.0.0.7\n"), done.stderr


def test_http2_for_an_origin_that_speaks_it(make_terminated, authority):
    node, _, nginx = make_terminated(nginx_options={"http2": True}, origin_protocol="h2c")
    done = curl(NAME, node.edge_port, "--http2", "-w", "%{http_version}", cacert=authority.cert, path="/who")
    assert (done.returncode, done.stdout) == (0, "127.0.0.1\n2"), done.stderr


def test_http2_is_not_offered_for_others(make_terminated, authority):
    node, _, nginx = make_terminated()
    done = curl(NAME, node.edge_port, "--http2", "-w", "%{http_version}", cacert=authority.cert, path="/who")
    assert (done.returncode, done.stdout) == (0, "127.0.0.1\n1.1"), done.stderr
    assert "no application protocol" in s_client(node.edge_port, "-alpn", "h2")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_resumed(make_terminated, tmp_path, version):
    node, _, nginx = make_terminated()
    session = str(tmp_path / "session")
    first = s_client(node.edge_port, version, "-sess_out", session)
    assert "New, TLSv1" in first and "200 OK" in first
    again = s_client(node.edge_port, version, "-sess_in", session)
    assert "Reused, TLSv1" in again and "200 OK" in again
    assert metric(node.edge_metrics(), "towonel_edge_tls_resumed_total") == 1


def test_a_session_is_not_resumed_for_another_name(make_node, make_agent, make_nginx, authority, tmp_path):
    other = "other.alice.example.eu"
    nginx = make_nginx(NAME, other, tls=False, http2=False, proxy_protocol=False)
    node = make_node()
    for name in (NAME, other):
        put_certificate(node, authority, name)
    make_agent(node.invite(NAME, other), [{"hostname": name, **terminated(nginx.address, forwarded_headers=False)}
                                          for name in (NAME, other)])
    session = str(tmp_path / "session")
    for version in ("-tls1_2", "-tls1_3"):
        assert "200 OK" in s_client(node.edge_port, version, "-sess_out", session)
        answer = s_client(node.edge_port, version, "-sess_in", session, name=other)
        assert "New, TLSv1" in answer and "200 OK" in answer


@pytest.mark.parametrize("arguments", [["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
                                       ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
                                       ["-tls1_3", "-groups", "P-521"]])
def test_what_is_old_is_refused(make_terminated, arguments):
    node, _, nginx = make_terminated()
    answer = s_client(node.edge_port, *arguments)
    assert "200 OK" not in answer
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="handshake") == 1,
               "the edge has counted it")
    assert metric(node.edge_metrics(), "towonel_edge_active_connections") <= 1


def test_rsa_keys_too(make_terminated, authority, tmp_path):
    node, _, nginx = make_terminated()
    path = f"{node.data_dir}/certs/{NAME}"
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x", "-addext",
         f"subjectAltName=DNS:{NAME}", "-keyout", path + ".key", "-out", path + ".crt"], check=True)
    for version in ("-tls1_2", "-tls1_3"):
        answer = s_client(node.edge_port, version, "-CAfile", path + ".crt")
        assert "200 OK" in answer and "Verify return code: 0 (ok)" in answer
    assert re.search("RSA", answer)


def test_a_certificate_that_is_replaced_is_served_at_once(make_terminated, authority, tmp_path):
    node, _, nginx = make_terminated()
    with TlsVisitor(node.edge_port, NAME, authority.cert) as visitor:
        assert visitor.get() == "127.0.0.1\n"
        (tmp_path / "second").mkdir()
        second = Authority(tmp_path / "second")
        put_certificate(node, second, NAME)
        wait_until(lambda: curl(NAME, node.edge_port, cacert=second.cert, path="/who").returncode == 0,
                   "the new certificate is served")
        assert curl(NAME, node.edge_port, cacert=authority.cert, path="/who").returncode == 60
        assert visitor.get() == "127.0.0.1\n"


def test_no_certificate_no_page(make_tunnel, make_nginx):
    nginx = make_nginx(NAME, tls=False, http2=False, proxy_protocol=False)
    node, _ = make_tunnel({NAME: terminated(nginx.address, forwarded_headers=False)})
    assert "internal error" in s_client(node.edge_port)
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="no_certificate") == 1


def test_an_origin_that_is_down_is_told_in_http(make_terminated, authority):
    node, agent, nginx = make_terminated()
    nginx.stop()
    done = curl(NAME, node.edge_port, "-w", "%{http_code}", cacert=authority.cert, path="/who")
    assert done.returncode == 0 and done.stdout.endswith("502"), done.stderr
    agent.stop()
    assert "internal error" in s_client(node.edge_port)
    assert metric(node.edge_metrics(), "towonel_edge_connections_refused_total", reason="no_agent") == 1
