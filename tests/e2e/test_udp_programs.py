# SPDX-License-Identifier: MIT
"""UDP services with real programs on both ends: DNS, iperf3, HTTP/3, OpenVPN."""

import hashlib
import json
import os
import random
import re
import shutil
import subprocess

import pytest

from support.docs import sections
from support.process import Process, free_port, metric, run, wait_until


@pytest.fixture
def expose(make_node, make_agent):
    """The public port, TCP and UDP, of what listens at an address."""
    def make(address, tcp=False):
        node, port = make_node(), free_port()
        declared = [{"name": "service", "origin": address, "listen_port": port}]
        make_agent(node.invite("a.eu"), udp=declared, **({"tcp": declared} if tcp else {}))
        wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_ports_bound") == 1 + tcp, "the ports are bound")
        return port
    return make


@pytest.fixture
def begin(tmp_path, stack):
    def make(argv, log, **more):
        process = Process(argv, tmp_path / log, **more)
        stack.callback(process.kill)
        return process
    return make


def need(*programs):
    for program in programs:
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
            pytest.skip(f"this system has no {program}")


def test_dns_over_udp_and_tcp(tmp_path, expose, begin):
    port, large = free_port(), "x" * 200
    config = tmp_path / "unbound.conf"
    records = "".join(f'    local-data: "large.test. TXT {n}{large}"\n' for n in range(10))
    config.write_text(f"""server:
    interface: 127.0.0.1@{port}
    port: {port}
    username: ""
    chroot: ""
    directory: "{tmp_path}"
    pidfile: "{tmp_path}/unbound.pid"
    use-syslog: no
    do-daemonize: no
    max-udp-size: 4096
    local-zone: "test." static
    local-data: "small.test. A 192.0.2.7"
{records}remote-control:
    control-enable: no
""")
    begin(["/usr/sbin/unbound", "-d", "-c", config], "unbound.log")
    public = expose(f"127.0.0.1:{port}", tcp=True)

    def dig(*arguments):
        return run(["dig", "@127.0.0.1", "-p", public, "+time=2", "+tries=5", *arguments]).stdout

    assert "192.0.2.7" in dig("small.test", "A", "+short")
    assert "192.0.2.7" in dig("small.test", "A", "+short", "+tcp")
    # too large for the client's buffer over UDP: dig asks again over TCP, on the same number
    text = dig("large.test", "TXT", "+bufsize=512", "+noedns")
    assert "retrying in TCP mode" in text and text.count(large) == 10
    assert dig("large.test", "TXT", "+bufsize=4096", "+ignore").count(large) == 10


def test_iperf3_both_directions(expose, begin):
    port = free_port()
    server = begin(["iperf3", "-s", "--forceflush", "-B", "127.0.0.1", "-p", port], "iperf3.log")
    public = expose(f"127.0.0.1:{port}", tcp=True)
    for number, direction in enumerate(([], ["-R"], ["--bidir"])):
        server.wait_log("Server listening", count=number + 1)
        done = run(["iperf3", "-c", "127.0.0.1", "-p", public, "-u", "-b", "5M", "-l", "1200", "-t", "1", "-J",
                    *direction])
        end = json.loads(done.stdout)["end"]
        for total in ["sum"] if len(direction) == 0 or direction == ["-R"] else ["sum", "sum_bidir_reverse"]:
            assert end[total]["packets"] > 100, done.stdout
            assert end[total]["lost_percent"] < 20, done.stdout


def test_http3(tmp_path, authority, expose, begin):
    need("gtlsserver", "gtlsclient")
    port, name = free_port(), "h3.test"
    cert, key = authority.issue(name)
    served, got = tmp_path / "served", tmp_path / "got"
    served.mkdir()
    got.mkdir()
    content = random.Random(3).randbytes(2 << 20)
    (served / "file").write_bytes(content)
    begin(["/usr/sbin/gtlsserver", "-q", "-d", served, "127.0.0.1", port, key, cert], "gtlsserver.log")
    public = expose(f"127.0.0.1:{port}")
    run(["gtlsclient", "-q", "--exit-on-all-streams-close", f"--download={got}", "127.0.0.1", public,
         f"https://{name}/file"], check=True)
    assert hashlib.sha256((got / "file").read_bytes()).digest() == hashlib.sha256(content).digest()


def test_openvpn(tmp_path, authority, expose, begin):
    """Both ends of a VPN without a network device, which needs no rights: its handshake, and its pings as traffic."""
    need("openvpn")
    port = free_port()
    prints = {}
    for end in ("server", "client"):
        base = tmp_path / end
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={end}", "-keyout", f"{base}.key", "-out", f"{base}.crt"], check=True)
        text = run(["openssl", "x509", "-in", f"{base}.crt", "-noout", "-fingerprint", "-sha256"], check=True).stdout
        prints[end] = text.strip().split("=")[1]

    def vpn(end, other, *more):
        return begin(["/usr/sbin/openvpn", "--dev", "null", "--proto", "udp4", "--cert", f"{tmp_path}/{end}.crt", "--key",
                      f"{tmp_path}/{end}.key", "--peer-fingerprint", prints[other], "--ping", "1", "--ping-exit", "5",
                      "--verb", "4", *more], f"openvpn-{end}.log")

    server = vpn("server", "client", "--tls-server", "--dh", "none", "--local", "127.0.0.1", "--lport", port)
    public = expose(f"127.0.0.1:{port}")
    client = vpn("client", "server", "--tls-client", "--nobind", "--remote", "127.0.0.1", public)
    for end in (server, client):
        end.wait_log("Initialization Sequence Completed")
    try:
        client.wait(7)  # without pings of the other end it would leave
        raise AssertionError("the client has left:\n" + client.log()[-2000:])
    except subprocess.TimeoutExpired:
        pass


@pytest.fixture
def make_namespace(stack):
    def make(name):
        name = f"towonel-{name}-{os.getpid()}"
        run(["ip", "netns", "add", name], check=True)
        stack.callback(run, ["ip", "netns", "delete", name])
        return name
    return make


def test_wireguard(tmp_path, expose, begin, make_namespace):
    """A web server behind a VPN in user space. The network device of each end lives in a namespace of its own, so that
    what goes from one to the other has to go through the VPN; the ends talk to each other over loopback."""
    need("wireguard-go", "wg", "ip")
    if os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK):
        pytest.skip("needs root, and /dev/net/tun")
    # As the recipe has it.
    told = dict(re.findall(r"`(\w+) = ([^`]+)`", sections("docs/recipes.md")["WireGuard"]))
    keys = {}
    for end in ("server", "client"):
        private = run(["wg", "genkey"], check=True).stdout
        (tmp_path / f"{end}.key").write_text(private)
        keys[end] = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True,
                                   check=True).stdout.strip()

    def start(end, address, *settings):
        device, space = f"tow{end[0]}{os.getpid() % 100000}", make_namespace(end)
        begin(["wireguard-go", "--foreground", device], f"wireguard-{end}.log")
        wait_until(lambda: os.path.exists(f"/var/run/wireguard/{device}.sock"), "wireguard-go is up")
        run(["wg", "set", device, "private-key", tmp_path / f"{end}.key", *settings], check=True)
        run(["ip", "link", "set", device, "netns", space], check=True)
        run(["ip", "-n", space, "address", "add", f"{address}/24", "dev", device], check=True)
        run(["ip", "-n", space, "link", "set", device, "mtu", told["MTU"], "up"], check=True)
        return ["ip", "netns", "exec", space]

    port = free_port()
    in_server = start("server", "10.99.0.1", "listen-port", port, "peer", keys["client"], "allowed-ips", "10.99.0.2/32")
    public = expose(f"127.0.0.1:{port}")
    in_client = start("client", "10.99.0.2", "peer", keys["server"], "allowed-ips", "10.99.0.1/32", "endpoint",
                      f"127.0.0.1:{public}", "persistent-keepalive", told["PersistentKeepalive"])
    content = random.Random(4).randbytes(4 << 20)
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file").write_bytes(content)
    begin([*in_server, "python3", "-m", "http.server", "--bind", "10.99.0.1", "--directory", tmp_path / "served", "80"],
          "http.log")
    run([*in_client, "curl", "-sS", "--retry", "10", "--retry-connrefused", "--retry-delay", "1", "-o",
         tmp_path / "got", "http://10.99.0.1/file"], check=True)
    assert (tmp_path / "got").read_bytes() == content
