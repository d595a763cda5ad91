# SPDX-License-Identifier: MIT
"""Hosts of a test's own: network namespaces, each on a wire to one router, whose wires can be cut and worn.

A thread is on a host while it is inside of `with host:`, and so is what it starts there. Nothing of this has a name
that others could see; it is gone with the processes that hold it.
"""

import ctypes
import os
import shutil
import subprocess
import threading

import pytest

from .process import run, wait_until

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_outside = threading.local()

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "nft", "conntrack"))),
    reason="network namespaces need root, iproute2, nftables and conntrack")


def _setns(path, kind):
    fd = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(fd, kind) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


class Namespace:
    """A network and a mount namespace, held by a process that sleeps."""

    def __init__(self, stack):
        self._holder = subprocess.Popen(["unshare", "--net", "--mount", "sleep", "infinity"],
                                        stdin=subprocess.DEVNULL)
        stack.callback(self._let_go)
        self.pid = self._holder.pid
        wait_until(self._is_apart, "a namespace", interval=0.005)
        self.ip("link", "set", "lo", "up")

    def _is_apart(self):
        # sleep runs when unshare has done all it was to do
        with open(f"/proc/{self.pid}/comm") as file:
            return file.read() == "sleep\n"

    def _let_go(self):
        self._holder.kill()
        self._holder.wait()

    def __enter__(self):
        if not hasattr(_outside, "stack"):
            _outside.stack = []
        _outside.stack.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        _setns(f"/proc/{self.pid}/ns/net", CLONE_NEWNET)
        return self

    def __exit__(self, *_):
        fd = _outside.stack.pop()
        _setns(f"/proc/self/fd/{fd}", CLONE_NEWNET)
        os.close(fd)

    def run(self, *argv, **more):
        with self:
            return run(argv, check=True, **more)

    def ip(self, *arguments):
        return self.run("ip", *arguments).stdout

    def nft(self, script):
        with self:
            done = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr

    def forward(self):
        with self, open("/proc/sys/net/ipv4/ip_forward", "w") as file:
            file.write("1")

    def bind(self, source, target):
        """Programs that are started with `preexec` see source in the target's place."""
        run(["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "mount", "--bind", source, target], check=True)

    def preexec(self):
        """In a child, before its program begins. A thread has only one view of files, its process's."""
        _setns(f"/proc/{self.pid}/ns/mnt", CLONE_NEWNS)


class Host(Namespace):
    """On a wire to a router, with one address and a default route."""

    def __init__(self, stack, name, router, mtu=1500):
        super().__init__(stack)
        self.name, self.router, self._nets = name, router, {}
        self.wire = self.plug("eth0", mtu)
        self.address = self.move(2)

    def plug(self, device, mtu=1500, metric=1):
        """One more wire, by which packets go while none with a lower metric is there. The router's end of it."""
        number = self.router.number()
        net, wire = f"{self.router.prefix}.{number}", f"w{number}-{self.name}"[:15]
        self.router.ip("link", "add", wire, "mtu", mtu, "type", "veth",
                       "peer", "name", device, "mtu", mtu, "netns", self.pid)
        self.router.ip("addr", "add", f"{net}.1/24", "dev", wire)
        self.router.ip("link", "set", wire, "up")
        self.ip("link", "set", device, "gso_max_segs", 1, "up")  # packets are lost one by one
        self._nets[device] = net, metric
        return wire

    def move(self, last, device="eth0"):
        """To another address: an old one is gone at once, as with a new lease."""
        net, metric = self._nets[device]
        self.ip("addr", "flush", "dev", device)
        self.ip("addr", "add", f"{net}.{last}/24", "dev", device)
        self.ip("route", "add", "default", "via", f"{net}.1", "metric", metric)
        return f"{net}.{last}"

    def unplug(self, device):
        self.ip("link", "del", device)


class Router(Namespace):
    """Forwards between its hosts. A cut wire drops what goes either way, and nobody is told."""

    prefix = "10.7"

    def __init__(self, stack):
        super().__init__(stack)
        self._stack, self._count = stack, 0
        self.forward()
        self.nft("""
table inet wires {
    set cut { type ifname; }
    chain forward {
        type filter hook forward priority 0
        iifname @cut drop
        oifname @cut drop
    }
    chain wear {
        type filter hook forward priority 1
    }
}
""")

    def number(self):
        self._count += 1
        return self._count

    def host(self, name, **more):
        return Host(self._stack, name, self, **more)

    def home(self, name):
        """A router with address translation, which is a host here; its own hosts are behind it."""
        return Home(self._stack, name, self)

    def cut(self, host):
        self.nft(f"add element inet wires cut {{ {host.wire} }}")

    def mend(self, host):
        self.nft(f"delete element inet wires cut {{ {host.wire} }}")

    def narrow(self, host, bytes):
        """What is larger is dropped in the middle of the way, and nobody is told."""
        self.nft("\n".join(f'add rule inet wires wear {way} "{host.wire}" meta length > {bytes} drop'
                           for way in ("iifname", "oifname")))

    def swallow(self, host, port):
        """What comes from this UDP port of the host, and goes to it, is dropped."""
        self.nft(f'''add rule inet wires wear iifname "{host.wire}" udp sport {port} drop
add rule inet wires wear oifname "{host.wire}" udp dport {port} drop''')

    def lose(self, host, percent):
        """Of what goes to the host and comes from it; 0: no more."""
        rules = [f'add rule inet wires wear {way} "{host.wire}" numgen random mod 100 < {percent} drop'
                 for way in ("iifname", "oifname")]
        self.nft("\n".join(["flush chain inet wires wear", *(rules if percent else [])]))


class Home(Host):
    """Its hosts come from its own address, on ports that it picks, and picks anew when told to."""

    prefix = "192.168"

    def __init__(self, stack, name, router):
        super().__init__(stack, name, router)
        self._stack, self._count, self._ports = stack, 0, 20000
        self.forward()
        self.rebind()

    number, host = Router.number, Router.host

    def rebind(self):
        """Forgets all mappings; the next ones get other ports."""
        self._ports += 1000
        self.nft(f"""
table ip nat
delete table ip nat
table ip nat {{
    chain leaving {{
        type nat hook postrouting priority 100
        oifname "eth0" meta l4proto udp masquerade to :{self._ports}-{self._ports + 999}
        oifname "eth0" masquerade
    }}
}}
""")
        with self:
            run(["conntrack", "-F"])
