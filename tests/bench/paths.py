# SPDX-License-Identifier: MIT
"""The ways to nginx that are measured side by side. Each is a port to connect to, and the processes whose CPU time
and memory count as the tunnel's."""

import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))

from support.process import Process, free_port, run, wait_until  # noqa: E402
from support.towonel import UNLIMITED, Agent, Node  # noqa: E402

import socket  # noqa: E402


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def children(pid):
    """pid and all its descendants: sshd serves in children."""
    found = [pid]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += children(int(entry))
    return found


class Path:
    """One way. processes are the tunnel's own; nginx and the load generator never count."""

    name = ""

    def __init__(self, directory, nginx, hostname):
        self.directory = os.path.join(str(directory), self.name)
        os.makedirs(self.directory, exist_ok=True)
        self.nginx = nginx
        self.hostname = hostname
        self.parts = {}  # name of the part -> Process
        self.port = free_port()
        self.start()
        wait_until(lambda: accepts(self.port), f"{self.name} accepts connections")

    def start(self):
        raise NotImplementedError

    def begin(self, part, argv, **more):
        self.parts[part] = Process(argv, os.path.join(self.directory, part + ".log"), **more)
        return self.parts[part]

    def cpu_seconds(self):
        """User and system time of each part so far, with its children, those too that have ended."""
        tick = os.sysconf("SC_CLK_TCK")
        times = {}
        for part, process in self.parts.items():
            total = 0
            for pid in children(process.pid):
                try:
                    with open(f"/proc/{pid}/stat") as file:
                        fields = file.read().rpartition(")")[2].split()
                    total += sum(map(int, fields[11:15]))
                except OSError:
                    pass
            times[part] = total / tick
        return times

    def rss_kb(self):
        sizes = {}
        for part, process in self.parts.items():
            total = 0
            for pid in children(process.pid):
                try:
                    with open(f"/proc/{pid}/status") as file:
                        total += sum(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
                except OSError:
                    pass
            sizes[part] = total
        return sizes

    def stop(self):
        for process in reversed(list(self.parts.values())):
            if process.running():
                process.kill()


class Direct(Path):
    name = "direct"

    def start(self):
        self.port = self.nginx.port


class HAProxy(Path):
    """One hop in TCP mode, no encryption: the floor."""

    name = "haproxy"

    def start(self):
        config = os.path.join(self.directory, "haproxy.cfg")
        with open(config, "w") as file:
            file.write(f"""
global
    maxconn 4000
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen bench
    bind 127.0.0.1:{self.port}
    server nginx 127.0.0.1:{self.nginx.port}
""")
        self.begin("haproxy", ["/usr/sbin/haproxy", "-db", "-f", config])


class Stunnel(Path):
    """A pair, TLS 1.3 with AES-128-GCM between the two."""

    name = "stunnel"

    def start(self):
        middle = free_port()
        cert = os.path.join(self.directory, "stunnel.pem")
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "2", "-subj", "/CN=stunnel", "-keyout", cert + ".key", "-out", cert], check=True)
        common = ("foreground = yes\npid =\ndebug = err\nsslVersion = TLSv1.3\n"
                  "ciphersuites = TLS_AES_128_GCM_SHA256\nsocket = l:TCP_NODELAY=1\n"
                  "socket = r:TCP_NODELAY=1\n")
        for part, text in (
                ("near", f"{common}client = yes\n[bench]\naccept = 127.0.0.1:{self.port}\n"
                         f"connect = 127.0.0.1:{middle}\n"),
                ("far", f"{common}cert = {cert}\nkey = {cert}.key\n[bench]\n"
                        f"accept = 127.0.0.1:{middle}\nconnect = 127.0.0.1:{self.nginx.port}\n")):
            path = os.path.join(self.directory, part + ".conf")
            with open(path, "w") as file:
                file.write(text)
            self.begin(part, ["/usr/bin/stunnel4", path])


class SSH(Path):
    """ssh -R from the machine with the service to the one with the port."""

    name = "ssh"

    def start(self):
        sshd_port = free_port()
        for key in ("host", "user"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                 os.path.join(self.directory, key)], check=True)
        authorized = os.path.join(self.directory, "authorized_keys")
        with open(os.path.join(self.directory, "user.pub")) as source, open(authorized, "w") as file:
            file.write(source.read())
        config = os.path.join(self.directory, "sshd_config")
        with open(config, "w") as file:
            file.write(f"ListenAddress 127.0.0.1\nPort {sshd_port}\nHostKey {self.directory}/host\n"
                       f"AuthorizedKeysFile {authorized}\nStrictModes no\nUsePAM no\n"
                       f"PidFile none\nMaxSessions 1000\nPermitRootLogin yes\n"
                       "Ciphers aes128-gcm@openssh.com\n")
        os.makedirs("/run/sshd", exist_ok=True)
        self.begin("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", config])
        wait_until(lambda: accepts(sshd_port), "sshd is up")
        self.begin("ssh", ["ssh", "-N", "-o", "StrictHostKeyChecking=no", "-o",
                           "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes", "-i",
                           os.path.join(self.directory, "user"), "-p", str(sshd_port), "-R",
                           f"127.0.0.1:{self.port}:127.0.0.1:{self.nginx.port}",
                           f"{subprocess.check_output(['id', '-un'], text=True).strip()}@127.0.0.1"])


class Towonel(Path):
    """Ours: node and agent, QUIC over loopback."""

    name = "towonel"
    settings = {}
    workers = 1

    def start(self):
        directory = os.path.join(self.directory, "node")
        os.makedirs(directory, exist_ok=True)
        self.node = Node(directory, TOWONEL_LOG="warn", TOWONEL_EDGE_WORKERS=str(self.workers), **UNLIMITED,
                         **self.settings).start()
        self.port = self.node.edge_port
        token = self.node.invite(self.hostname)
        self.agent = Agent(self.directory, token, [
            {"hostname": self.hostname, "origin": f"127.0.0.1:{self.nginx.port}",
             "proxy_protocol": "none"}], TOWONEL_LOG="warn", **self.settings).start()
        self.parts = {"node": self.node.process, "agent": self.agent.process}
        time.sleep(1)


class TowonelWorkers(Towonel):
    """The same, with an edge of two workers."""

    name = "workers"
    workers = 2


PATHS = [Direct, HAProxy, Stunnel, SSH, Towonel, TowonelWorkers]
