# SPDX-License-Identifier: MIT
"""What the shells complete, asked of the shells themselves."""

import os
import shutil

import pytest

from support.process import BUILD, run

CLI = f"{BUILD}/towonel"

# The words before the cursor, what is typed of the next, and all or some of what is offered.
EVERYWHERE = [
    (["towonel"], "", {"invite", "tenant", "entry", "edge-invite", "port", "status", "doctor", "audit", "cert", "completion",
                       "serve", "admin"}),
    (["towonel", "edge-invite"], "", {"create", "list", "revoke"}),
    (["towonel", "edge-invite", "create"], "--n", {"--name", "--node-id"}),
    (["towonel"], "te", {"tenant"}),
    (["towonel", "admin"], "inv", {"invite"}),
    (["towonel", "tenant"], "", {"list", "limit", "remove", "leave", "init", "export-key", "import-key"}),
    (["towonel", "admin", "tenant"], "ex", {"export-key"}),
    (["towonel", "invite", "create"], "--h", {"--hostnames", "--hub-url", "--help"}),
    (["towonel", "tenant", "leave"], "--", {"--key-path", "--token", "--hub-url", "--json", "--help"}),
    (["towonel", "status"], "--a", {"--all", "--api-key"}),
    (["towonel", "port"], "re", {"reserve", "release"}),
    (["towonel", "port", "reserve", "--protocol"], "u", {"udp"}),
    (["towonel", "port", "available", "--protocol"], "", {"tcp", "udp"}),
    (["towonel", "entry", "submit", "--hostname", "a.eu", "--mode"], "t", {"terminate"}),
    (["towonel", "entry", "submit", "--op"], "delete_", {
        "delete_hostname", "delete_tcp_service", "delete_udp_service"}),
    (["towonel", "tenant", "leave", "--key-path"], "tenant.k", {"tenant.key"}),
    (["towonel", "invite", "revoke", "--id"], "", set()),
    (["towonel", "frobnicate"], "x", set()),
]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    directory = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        done = run([CLI, "completion", shell])
        assert done.returncode == 0 and done.stderr == ""
        (directory / shell).write_text(done.stdout)
    (directory / "tenant.key").write_text("")
    return directory


def shell(name, scripts, script, *arguments):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    argv = {"bash": ["bash", "--norc", "--noprofile"], "zsh": ["zsh", "-f"], "fish": ["fish", "--no-config"]}[name]
    done = run([*argv, "-c", script, *(["-"] if name != "fish" else []), *arguments], cwd=scripts,
               env={"PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": str(scripts)})
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.splitlines()


def bash(scripts, words, typed):
    return shell("bash", scripts, """
        source ./bash || exit 1
        [ "$(complete -p towonel)" = "complete -F _towonel towonel" ] || exit 1
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _towonel
        printf '%s\\n' "${COMPREPLY[@]}"
        """, *words, typed)


def fish(scripts, words, typed):
    # fish wants a line; each of what it offers may have a description behind a tab, and newer ones offer what has the
    # letters inside, too
    lines = shell("fish", scripts, "source ./fish; or exit 1; complete -C $argv[1]", " ".join([*words, typed]))
    return [line.split("\t")[0] for line in lines if line.startswith(typed)]


def zsh(scripts, words, typed):
    # The completion system itself runs only at a terminal. What the function hands to it is recorded.
    offered = shell("zsh", scripts, """
        compadd() { print -rl -- "${@:#--}"; }
        _describe() { print -rl -- "${items[@]%%:*}"; }
        _files() { print -rl -- *(N); }
        compdef() { [[ "$*" == "_towonel towonel" ]] || exit 1; }
        source ./zsh || exit 1
        words=("$@") CURRENT=$#
        _towonel
        """, *words, typed)
    return [word for word in offered if word.startswith(typed)]


@pytest.mark.parametrize("words, typed, wanted", EVERYWHERE)
@pytest.mark.parametrize("complete", [bash, zsh, fish])
def test_completion(scripts, complete, words, typed, wanted):
    offered = {word for word in complete(scripts, words, typed) if word}
    if words[:2] == words and not typed:  # what bash offers beside commands
        offered = {word for word in offered if not word.startswith("-")}
    assert offered == wanted


@pytest.mark.parametrize("words, wanted", [(["towonel", "port", "available", "--protocol", "="], {"tcp", "udp"}),
                                           (["towonel", "port", "available", "--protocol", "=", "u"], {"udp"})])
def test_bash_completes_behind_an_equals_sign(scripts, words, wanted):
    assert set(bash(scripts, words[:-1], words[-1])) == wanted


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_shells_can_read_theirs(scripts, name):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    done = run([name, "-n", str(scripts / name)])
    assert done.returncode == 0 and done.stderr == ""
