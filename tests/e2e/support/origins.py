# SPDX-License-Identifier: MIT
"""Real services behind the agent, and a certificate authority of the test's own."""

import os
import socket

from .process import Process, free_port, run, wait_until


class Authority:
    """Signs certificates for hostnames; curl trusts it with --cacert."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.cert = os.path.join(self.directory, "ca.crt")
        self._key = os.path.join(self.directory, "ca.key")
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "2", "-subj", "/CN=test authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
             "-keyout", self._key, "-out", self.cert], check=True)

    def issue(self, *names):
        """Paths of a certificate and its key for these names."""
        base = os.path.join(self.directory, names[0].replace("*", "_"))
        with open(base + ".ext", "w") as file:
            file.write("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
        run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", f"/CN={names[0]}", "-keyout", base + ".key", "-out", base + ".csr"], check=True)
        run(["openssl", "x509", "-req", "-in", base + ".csr", "-CA", self.cert, "-CAkey", self._key,
             "-CAcreateserial", "-days", "2", "-extfile", base + ".ext", "-out", base + ".crt"],
            check=True)
        return base + ".crt", base + ".key"


class Nginx:
    """nginx, with TLS unless told otherwise; locations is the inside of the server block. The access log has the visitor's address as
    the PROXY header gave it, the server name, the protocol and the status."""

    def __init__(self, directory, authority, names, proxy_protocol=True, locations="", host="127.0.0.1",
                 http2=True, extra="", tls=True):
        self.directory = os.path.join(str(directory), f"nginx-{free_port()}")
        os.makedirs(os.path.join(self.directory, "root"))
        self.root = os.path.join(self.directory, "root")
        self.authority = authority
        self.port = free_port(host)
        self.access_log = os.path.join(self.directory, "access.log")
        certificate = ""
        if tls:
            cert, key = authority.issue(*names)
            certificate = f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;"
        at = f"[{host}]" if ":" in host else host
        flags = " ".join(flag for flag, on in (("ssl", tls), ("http2", http2), ("proxy_protocol", proxy_protocol)) if on)
        address = "$proxy_protocol_addr" if proxy_protocol else "$remote_addr"
        self.address = f"{at}:{self.port}"
        self.config = os.path.join(self.directory, "nginx.conf")
        with open(self.config, "w") as file:
            file.write(f"""
daemon off;
worker_processes 1;
pid {self.directory}/nginx.pid;
error_log {self.directory}/error.log info;
events {{ worker_connections 4096; }}
http {{
    log_format visitor '{address} $ssl_server_name $server_protocol $status "$request"';
    access_log {self.access_log} visitor;
    client_body_temp_path {self.directory}/t1; proxy_temp_path {self.directory}/t2;
    fastcgi_temp_path {self.directory}/t3; uwsgi_temp_path {self.directory}/t4;
    scgi_temp_path {self.directory}/t5;
    client_max_body_size 0;
    keepalive_requests 1000000;
    {extra}
    server {{
        listen {at}:{self.port} {flags} backlog=4096;
        server_name {' '.join(names)};
        {certificate}
        root {self.root};
        location = /who {{ default_type text/plain; return 200 "{address}\\n"; }}
        {locations}
    }}
}}
""")
        # Workers of a master that runs as root drop to another user, who has to reach the test's directory.
        user = "user root;\n" if os.geteuid() == 0 else ""
        if user:
            with open(self.config) as file:
                text = file.read()
            with open(self.config, "w") as file:
                file.write(user + text)
        self.start()

    def start(self):
        """Called by the constructor; again after stop()."""
        self.process = Process(["/usr/sbin/nginx", "-c", self.config, "-e", self.directory + "/error.log"],
                               os.path.join(self.directory, "output.log"))
        wait_until(lambda: os.path.exists(self.directory + "/nginx.pid") and
                   os.path.getsize(self.directory + "/nginx.pid") > 0, "nginx is up")

    def log(self):
        with open(self.access_log) as file:
            return file.read()

    def wait_log(self, text):
        """A line is written after its answer has been sent, so a client may be ahead of it."""
        wait_until(lambda: text in self.log(), f"{text!r} in nginx's log")

    def stop(self):
        self.process.stop()


class Haproxy:
    """HAProxy with TLS that takes the PROXY header and answers with the visitor's address."""

    def __init__(self, directory, authority, names):
        self.directory = os.path.join(str(directory), f"haproxy-{free_port()}")
        os.makedirs(self.directory)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        bundle = os.path.join(self.directory, "both.pem")
        with open(bundle, "w") as out:
            for path in authority.issue(*names):
                with open(path) as file:
                    out.write(file.read())
        config = os.path.join(self.directory, "haproxy.cfg")
        with open(config, "w") as file:
            file.write(f"""
global
    maxconn 1000
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
frontend service
    bind {self.address} accept-proxy ssl crt {bundle} alpn h2,http/1.1
    http-request return status 200 content-type text/plain lf-string "%[src] %[ssl_fc_sni] %[fc_pp_authority]\\n"
""")
        self.process = Process(["/usr/sbin/haproxy", "-db", "-f", config],
                               os.path.join(self.directory, "haproxy.log"))
        wait_until(self._answers, "haproxy is up")

    def _answers(self):
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.kill()


def curl(name, port, *arguments, host="127.0.0.1", cacert=None, scheme="https", path="/", timeout=60):
    """curl NAME through the edge that listens on host:port, verifying the origin's own certificate."""
    address = f"[{host}]" if ":" in host else host
    argv = ["curl", "-sS", "--noproxy", "*", "--max-time", str(timeout), "--resolve",
            f"{name}:{port}:{address}"]
    if cacert:
        argv += ["--cacert", cacert]
    return run([*argv, *arguments, f"{scheme}://{name}:{port}{path}"], timeout=timeout + 10)
