# SPDX-License-Identifier: MIT
"""Names whose TLS ends at the edge, with certificates that an operator has put there."""

import os
import shutil

from .process import wait_until, metric


def put_certificate(node, authority, name):
    """Issues a certificate and puts it where the node looks for the name's."""
    directory = os.path.join(node.data_dir, "certs")
    os.makedirs(directory, exist_ok=True)
    for source in authority.issue(name):
        path = os.path.join(directory, name + source[-4:])
        shutil.copy(source, path + ".new")
        os.chmod(path + ".new", 0o600)
        os.rename(path + ".new", path)
    return os.path.join(directory, name + ".crt")


def terminated(origin, **fields):
    """A service whose TLS ends at the edge."""
    return {"origin": origin, "tls_mode": {"mode": "terminate"}, **fields}


def wait_routes(node, count):
    wait_until(lambda: metric(node.edge_metrics(), "towonel_edge_hostnames") == count, "the edge has the hostnames")
