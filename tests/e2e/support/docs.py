# SPDX-License-Identifier: MIT
"""What people are told to type: the blocks of the guides and of the manual pages, as they stand there."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def _read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def sections(guide):
    """{heading: text}; what is before the first one is under ""."""
    parts = re.split(r"^##+ (.*)$", "## \n" + _read(guide), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def blocks(text, language="sh"):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def block(text, language="sh"):
    return blocks(text, language)[0]


def examples(page):
    """The same of a page of docs/man."""
    found = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", _read(f"docs/man/{page}"), re.M | re.S)
    return [text.replace("\\e", "\\") for text in found]


def settings(text):
    """Those that a block assigns."""
    return dict(re.findall(r"^(TOWONEL_\w+)='?(.*?)'?$", re.sub(r"\n +|\n(?=\])", "", text), re.M))


def nginx_of_recipe(directory, certificate, port="8443"):
    """The command of an nginx that is set up as the guide has it, in this directory."""
    cert, key = certificate
    server = block(sections("docs/recipes.md")["nginx"], "nginx").replace("8443", str(port))
    server = server.replace("/etc/ssl/app.crt", cert).replace("/etc/ssl/app.key", key)
    paths = "".join(f"{kind}_temp_path {directory}/{kind};\n"
                    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(f"{directory}/nginx.conf", "w") as file:
        file.write(f"daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;\nevents {{}}\n"
                   f"http {{\naccess_log off;\n{paths}{server}}}\n")
    return ["/usr/sbin/nginx", "-c", file.name, "-e", f"{directory}/error.log"]
