# SPDX-License-Identifier: MIT
"""OpenSSH's server, and its clients as they reach it at another port."""

import os
import pwd
import socket

from .process import Process, free_port, run, wait_until


class Ssh:
    """A server with keys of its own, for the user that the tests run as."""

    def __init__(self, directory, port=None, host="127.0.0.1"):
        self.directory = str(directory)
        self.host = host
        self.port = port or free_port()
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        for key in ("host", "user"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._at(key)], check=True)
        os.rename(self._at("user.pub"), self._at("authorized_keys"))
        with open(self._at("host.pub")) as key, open(self._at("known_hosts"), "w") as known:
            known.write("towonel " + key.read())
        with open(self._at("sshd_config"), "w") as file:
            file.write(f"ListenAddress {host}\nPort {self.port}\nHostKey {self._at('host')}\n"
                       f"AuthorizedKeysFile {self._at('authorized_keys')}\nStrictModes no\nUsePAM no\nPidFile none\n"
                       "PermitRootLogin yes\nSubsystem sftp internal-sftp\n")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        self.process = Process(["/usr/sbin/sshd", "-D", "-e", "-f", self._at("sshd_config")], self._at("sshd.log"))
        wait_until(self._accepts, f"sshd is up:\n{self.process.log()[-4000:]}")

    def _at(self, name):
        return os.path.join(self.directory, name)

    def _accepts(self):
        try:
            socket.create_connection((self.host, self.port)).close()
            return True
        except ConnectionRefusedError:
            return False

    @property
    def options(self):
        """Of any client: it knows the server's key, and takes nothing from the user's own settings."""
        return ["-F", "none", "-i", self._at("user"), "-o", f"UserKnownHostsFile={self._at('known_hosts')}", "-o",
                "HostKeyAlias=towonel", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]

    @property
    def there(self):
        return f"{self.user}@{self.host}"

    def close(self):
        self.process.kill()
