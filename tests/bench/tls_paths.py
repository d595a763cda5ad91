# SPDX-License-Identifier: MIT
"""The ways to a nginx without TLS that end TLS themselves, each with the same certificate."""

import os

from paths import Path
from support.process import wait_until
from support.towonel import UNLIMITED, Agent, Node
from support.terminated import terminated


class TlsPath(Path):
    """certificate and key are the authority's for the host name."""

    def pair(self):
        if not hasattr(TlsPath, "issued"):
            TlsPath.issued = self.nginx.authority.issue(self.hostname)
        return TlsPath.issued

class HAProxyTls(TlsPath):
    name = "haproxy"

    def start(self):
        bundle = os.path.join(self.directory, "both.pem")
        with open(bundle, "w") as out:
            for path in self.pair():
                with open(path) as file:
                    out.write(file.read())
        config = os.path.join(self.directory, "haproxy.cfg")
        with open(config, "w") as file:
            file.write(f"""
global
    maxconn 4000
    nbthread 1
    tune.ssl.default-dh-param 2048
defaults
    mode http
    option forwardfor
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen bench
    bind 127.0.0.1:{self.port} ssl crt {bundle} alpn http/1.1
    server nginx 127.0.0.1:{self.nginx.port}
""")
        self.begin("haproxy", ["/usr/sbin/haproxy", "-db", "-f", config])


class NginxTls(TlsPath):
    name = "nginx"

    def start(self):
        certificate, key = self.pair()
        config = os.path.join(self.directory, "nginx.conf")
        user = "user root;" if os.geteuid() == 0 else ""
        with open(config, "w") as file:
            file.write(f"""
daemon off; {user}
worker_processes 1;
pid {self.directory}/nginx.pid;
error_log {self.directory}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {self.directory}/t1; proxy_temp_path {self.directory}/t2;
    fastcgi_temp_path {self.directory}/t3; uwsgi_temp_path {self.directory}/t4; scgi_temp_path {self.directory}/t5;
    keepalive_requests 1000000;
    upstream origin {{ server 127.0.0.1:{self.nginx.port}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{self.port} ssl backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
""")
        self.begin("nginx", ["/usr/sbin/nginx", "-c", config, "-e", self.directory + "/error.log"])


class TowonelTls(TlsPath):
    """The edge ends TLS, and the tunnel to the agent comes on top."""

    name = "towonel"
    fields = {}

    def start(self):
        directory = os.path.join(self.directory, "node")
        os.makedirs(directory, exist_ok=True)
        self.node = Node(directory, TOWONEL_LOG="warn", **UNLIMITED).start()
        self.port = self.node.edge_port
        certificates = os.path.join(self.node.data_dir, "certs")
        os.makedirs(certificates, exist_ok=True)
        for path in self.pair():
            with open(path) as file, open(os.path.join(certificates, self.hostname + path[-4:]), "w") as out:
                out.write(file.read())
        self.agent = Agent(self.directory, self.node.invite(self.hostname), [
            {"hostname": self.hostname, **terminated(f"127.0.0.1:{self.nginx.port}", **self.fields)}],
            TOWONEL_LOG="warn").start()
        self.parts = {"node": self.node.process, "agent": self.agent.process}
        wait_until(lambda: "towonel_edge_hostnames 1" in self.node.edge_metrics(), "the edge has the hostname")


class TowonelPlain(TowonelTls):
    """The same, without a look at the requests."""

    name = "plain"
    fields = {"forwarded_headers": False}


TLS_PATHS = [HAProxyTls, NginxTls, TowonelTls, TowonelPlain]
