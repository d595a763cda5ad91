# SPDX-License-Identifier: MIT
"""A certificate authority that speaks ACME (pebble), and the DNS that it asks (pebble-challtestsrv)."""

import json
import os
import ssl
import urllib.request

from .process import Process, free_port, wait_until


class Pebble:
    """Looks for challenges on the ports of loopback that it is given; every name is at 127.0.0.1, unless
    set_address or set_servfail says otherwise. start() may be called again after stop(); it has forgotten everything then."""

    def __init__(self, directory, authority, http_port, tls_port, binding=None, lifetime=None, reject=50,
                 reuse=50):
        self.directory = os.path.join(str(directory), "pebble")
        os.makedirs(self.directory, exist_ok=True)
        self.authority = authority
        self.port, self.management_port, self.dns_port, self.dns_management_port = (
            free_port() for _ in range(4))
        self.url = f"https://localhost:{self.port}/dir"
        self.env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": str(reject),
                    "PEBBLE_AUTHZREUSE": str(reuse)}
        certificate, key = authority.issue("localhost")
        settings = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": certificate,
            "privateKey": key,
            "httpPort": http_port,
            "tlsPort": tls_port,
            "externalAccountBindingRequired": binding is not None,
            "externalAccountMACKeys": dict([binding] if binding else []),
            "domainBlocklist": ["blocked.example.eu"],
        }
        if lifetime is not None:
            settings["certificateValidityPeriod"] = lifetime
        self.config = os.path.join(self.directory, "config.json")
        with open(self.config, "w") as file:
            json.dump({"pebble": settings}, file)
        self.dns = Process(["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
                            "-dns01", f"127.0.0.1:{self.dns_port}", "-http01", "", "-https01", "",
                            "-tlsalpn01", "", "-management", f"127.0.0.1:{self.dns_management_port}"],
                           os.path.join(self.directory, "dns.log"))
        self.process = None

    def start(self):
        self.process = Process(["pebble", "-config", self.config, "-strict", "-dnsserver",
                                f"127.0.0.1:{self.dns_port}"],
                               os.path.join(self.directory, "pebble.log"), env=self.env)
        wait_until(self._answers, "pebble answers")
        return self

    def _context(self):
        context = ssl.create_default_context(cafile=self.authority.cert)
        context.check_hostname = False
        return context

    def _get(self, port, path):
        request = urllib.request.Request(f"https://127.0.0.1:{port}{path}",
                                         headers={"Host": f"localhost:{port}"})  # which goes into URLs
        with urllib.request.urlopen(request, timeout=5, context=self._context()) as answer:
            return answer.read().decode()

    def get(self, path):
        return self._get(self.port, path)

    def _answers(self):
        try:
            return self.get("/dir")
        except OSError:
            return None

    def root(self):
        """A file with the root certificate of what it issues now."""
        path = os.path.join(self.directory, "root.pem")
        with open(path, "w") as file:
            file.write(self._get(self.management_port, "/roots/0"))
        return path

    def status(self, serial):
        """Valid or Revoked."""
        return json.loads(self._get(self.management_port, f"/cert-status-by-serial/{serial}"))["Status"]

    def set_address(self, name, *addresses):
        """Where the name is."""
        data = json.dumps({"host": name + ".", "addresses": list(addresses)}).encode()
        url = f"http://127.0.0.1:{self.dns_management_port}/add-a"
        urllib.request.urlopen(url, data=data, timeout=5).close()

    def set_servfail(self, name):
        """The name cannot be resolved."""
        url = f"http://127.0.0.1:{self.dns_management_port}/set-servfail"
        urllib.request.urlopen(url, data=json.dumps({"host": name + "."}).encode(), timeout=5).close()

    def stop(self):
        if self.process:
            self.process.kill()
        self.process = None

    def close(self):
        self.stop()
        self.dns.kill()
