# SPDX-License-Identifier: MIT
"""The status page in a browser: on the hub's API with the operator's key, on the health listener without one."""

import base64
import json
import os
import re
import sqlite3
import urllib.request

import pytest

from support.api import Api
from support.browser import Browser
from support.docs import blocks, sections
from support.lines import Origin, visit
from support.process import free_port, run, wait_until
from support.terminated import put_certificate
from support.towonel import http_get

HUB = "hub.example.eu"
NAME = "app.alice.example.eu"
# What a tenant, or whoever has got hold of an operator's key, may try to have a browser run.
EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'


@pytest.fixture
def browser(tmp_path, stack):
    browser = Browser(tmp_path, "--ignore-certificate-errors", f"--host-resolver-rules=MAP {HUB} 127.0.0.1")
    stack.callback(browser.close)
    return browser


@pytest.fixture
def hub(make_node, authority, tmp_path):
    """A node whose API has a certificate that browsers take."""
    port = free_port()
    node = make_node(start=False, TOWONEL_HUB_LISTEN_ADDR=f"127.0.0.1:{port}",
                     TOWONEL_HUB_PUBLIC_URL=f"https://{HUB}:{port}")
    node.hub_port = port
    put_certificate(node, authority, HUB)
    return node.start()


def invite(node, *hostnames):
    """A token for an agent, which cannot resolve the hub's name here, and knows it by its key."""
    prefix, url, *rest = re.fullmatch(r"(tt_inv_2_)([^.]*)\.([^.]*)\.([^.]*)\.([^.]*)", node.invite(*hostnames)).groups()
    url = base64.urlsafe_b64decode(url + "==").decode().replace(HUB, "127.0.0.1")
    return ".".join([prefix + base64.urlsafe_b64encode(url.encode()).decode().rstrip("="), *rest])


def page_url(node):
    return f"https://{HUB}:{node.hub_port}/"


def sign_in(page, node):
    page.until("document.activeElement.id === 'key'")
    page.type(Api(node).key)
    page.press("Enter")
    page.until("document.querySelector('#tiles dd')")


def well(page):
    assert page.complaints() == []
    assert page.js("window.pwned") is None and page.js("document.querySelectorAll('img').length") == 0


def test_a_browser_and_a_hub_without_a_certificate(make_node, tmp_path, stack):
    """It is shown one that it can be told to take; everybody else is shown the node's own key."""
    node = make_node()
    url = f"https://127.0.0.1:{node.hub_port}/"
    browser = Browser(tmp_path)
    stack.callback(browser.close)
    page = browser.open(url)
    assert "ERR_CERT_AUTHORITY_INVALID" in page.js("document.body.innerText")
    page.js("document.getElementById('details-button').click()")
    page.js("document.getElementById('proceed-link').click()")
    page.until("document.getElementById('key')")
    sign_in(page, node)

    def shown(*arguments):
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{node.hub_port}", *arguments])
        return run(["openssl", "x509", "-noout", "-text", "-fingerprint", "-sha256"], check=True, input=done.stdout,
                   stdin=None).stdout
    told = re.search(r"browsers are shown this certificate of the hub sha256=(\w{64})$", node.process.log(), re.M)[1]
    fingerprint = ":".join(re.findall("..", told.upper()))
    assert f"={fingerprint}\n" in shown("-sigalgs", "ECDSA+SHA256") and "ED25519" in shown()
    command = blocks(sections("docs/operations.md")["Is it well?"])[1]
    done = run(["sh", "-euc", command], env={"TOWONEL_DATA_DIR": node.data_dir}, check=True)
    assert fingerprint in done.stdout
    node.stop()
    node.start()
    assert fingerprint in shown("-sigalgs", "ECDSA+SHA256"), "who has accepted it is not asked again"
    assert os.stat(f"{node.data_dir}/browser.pem").st_mode & 0o777 == 0o600


def test_the_page_is_alone_and_says_so(hub):
    api = Api(hub, key="")
    answer = api.get("/")
    policy = answer.headers["content-security-policy"]
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["referrer-policy"] == "no-referrer"
    assert "http://" not in answer.body.replace("http://www.w3.org/2000/svg", "") and "https://" not in answer.body
    again = api.get("/", headers=[f"If-None-Match: {answer.headers['etag']}"])
    assert again.status == 304 and again.body == "" and again.headers["etag"] == answer.headers["etag"]
    assert api.get("/", headers=['If-None-Match: "another"']).status == 200
    assert http_get(f"http://127.0.0.1:{hub.hub_health_port}/status")[1] == answer.body
    assert api.get("/v1/status").status == 401


def test_an_operator_sees_what_is_up_and_invites(hub, browser, make_agent, stack):
    origin = Origin("origin")
    stack.callback(origin.close)
    make_agent(invite(hub, NAME), [origin.service(NAME), origin.service("not.ours.example.eu")],
               tcp=[{"name": EVIL[:64], "origin": "127.0.0.1:9", "listen_port": free_port()}])
    page = browser.open(page_url(hub))
    key = Api(hub).key

    # A key that is none, and one that is not the hub's.
    for wrong, said in (("secret", "no operator key"), ("A" * 43, "does not know this operator key")):
        page.until("document.activeElement.id === 'key'")
        page.type(wrong)
        page.press("Enter")
        page.until(f"document.getElementById('key-error').textContent.includes({json.dumps(said)})")
    well_so_far = [text for text in page.complaints() if "401" not in str(text)]
    assert well_so_far == []

    sign_in(page, hub)
    page.until(f"document.querySelector('#services').innerText.includes({json.dumps(NAME)})")
    page.until("document.querySelectorAll('#problems li').length === 1")
    services = {row[0]: row[1:] for row in page.rows("#services")}
    assert services[NAME] == ["alice", "up", "1", ""] and services["tcp:" + EVIL[:64]][1] == "up"
    assert services["not.ours.example.eu"][1] == "refused"
    told = {service["service"]: service for tenant in json.loads(hub.towonel("status", "--json").stdout)["tenants"]
            for service in tenant["services"]}
    assert services["not.ours.example.eu"][3] == told["not.ours.example.eu"]["why"]
    assert page.rows("#services")[0][0] == "not.ours.example.eu", "what is not up comes first"
    assert page.text("#verdict") == "1 problem"
    assert page.rows("#edges")[0][:2] == ["local", "live"] and page.rows("#agents")[0][2] == "live"
    page.until("/^[0-9.]+ ms$/.test(document.querySelector('#agents tbody tr').cells[7].innerText)", 60)
    assert page.rows("#certificates")[0][:2] == [HUB, "served"]

    # Traffic comes in time, as rates.
    for _ in range(3):
        assert visit(hub.edge_port, NAME) == "origin"
    page.until("document.querySelector('#tiles').innerText.includes('3 in all')", 60)
    page.until("/^[0-9.]+ k?B.s$/.test(document.querySelectorAll('#tiles dd span')[5].textContent)", 60)

    # An invite, by the keyboard alone.
    page.tab_to("invite-hostnames")
    page.type(f"bob.example.eu *.{EVIL[1:4]}.example.eu")
    page.press("Tab")
    page.type(EVIL[:40])
    page.press("Enter")
    page.until("!document.querySelector('#invites .token').hidden")
    assert page.focused() == "Copy"
    token = page.text("#invites .token code")
    assert token.startswith("tt_inv_2_")
    made = {invite["name"]: invite for invite in hub.invites()}[EVIL[:40]]
    assert "bob.example.eu" in made["hostnames"]
    page.press("Tab")
    assert page.focused() == "Done"
    page.press("Enter")
    assert page.js("document.querySelector('#invites .token').hidden") and token not in page.js("document.body.innerHTML")

    # Refusals are told where they were provoked.
    page.tab_to("invite-hostnames")
    page.type("bob.example.eu")
    page.press("Enter")
    page.until("document.querySelector('#invite-form .error').textContent")
    assert "bob.example.eu" in page.text("#invite-form .error")

    # Revoking asks first.
    page.tab_to(f"Revoke {EVIL[:40]}")
    page.press("Enter")
    assert page.js("document.getElementById('sure').open") and page.focused() == "sure-no"
    assert EVIL[:40] in page.text("#sure-title") and "bob.example.eu" in page.text("#sure-text")
    page.press("Escape")
    assert not page.js("document.getElementById('sure').open") and page.focused() == f"Revoke {EVIL[:40]}"
    page.press(" ")
    page.press("Tab")
    assert page.focused() == "sure-yes"
    page.press("Enter")
    page.until("!document.getElementById('sure').open")
    assert page.focused() == "invites-title"
    assert {invite["name"]: invite["status"] for invite in hub.invites()} == {"alice": "active", EVIL[:40]: "revoked"}
    assert [row[0] for row in page.rows("#invites")] == ["alice"]

    # The same for an edge.
    page.tab_to("edge-invite-name")
    page.type("fra1")
    page.press("Enter")
    page.until("!document.querySelector('#edge-invites .token').hidden")
    assert page.text("#edge-invites .token code").startswith("tt_edge_2_")
    page.tab_to("Revoke fra1")
    page.press("Enter")
    page.tab_to("sure-yes", 3)
    page.press("Enter")
    page.until("!document.getElementById('sure').open")
    assert page.rows("#edge-invites") == []

    # The filter.
    page.js("document.getElementById('filter').focus()")
    page.type("REFUSED alice")
    page.until("document.querySelectorAll('#services tbody tr').length === 1")
    assert page.text("#services .count") == "1 of 3" and page.text("#found").startswith("1 of ")
    page.press("Escape")
    page.until("document.querySelectorAll('#services tbody tr').length === 3")

    # The key was in requests' headers, and nowhere else; and it can be forgotten.
    asked = page.requests()
    assert asked and all(request["url"].startswith((page_url(hub), "data:")) for request in asked)
    assert not any(key in request["url"] or key in request.get("postData", "") for request in asked)
    assert page.js("localStorage.length + sessionStorage.length") == 0 and page.js("document.cookie") == ""
    assert page.js("location.href") == page_url(hub) and key not in page.js("document.documentElement.outerHTML")
    page.tab_to("forget")
    page.press("Enter")
    assert page.focused() == "key" and page.text("#services") == "" and NAME not in page.js("document.body.innerHTML")
    assert [text for text in page.complaints() if not any(status in str(text) for status in ("401", "409"))] == []
    assert page.js("window.pwned") is None and page.js("document.querySelectorAll('img').length") == 0


def test_updates_keep_focus_and_say_what_changed(hub, browser, make_agent):
    names = [f"n{number}.example.eu" for number in range(60)]
    agent = make_agent(invite(hub, *names), [{"hostname": name, "origin": "127.0.0.1:9"} for name in names])
    page = browser.open(page_url(hub))
    sign_in(page, hub)
    page.until("document.querySelector('#verdict').textContent === 'Everything is up'", 60)
    assert len(page.rows("#services")) == 25 and page.text("#services .count") == "60"
    page.tab_to("Show all 60")
    page.press("Enter")
    assert len(page.rows("#services")) == 60 and page.focused() == "Show 25"
    page.tab_to("Revoke alice")
    assert agent.stop() == 0
    page.until("document.querySelector('#verdict').className === 'bad'", 60)
    assert page.focused() == "Revoke alice"
    assert page.text("#problems").startswith("60 services (alice): no agent: ")
    assert "60 services (alice): no agent" in page.js("document.getElementById('announcement').textContent")
    assert page.js("document.title") == "(1) towonel"

    # A database that fails is told, and so is a hub that is gone.
    database = sqlite3.connect(f"{hub.data_dir}/hub.db", isolation_level=None)
    database.execute("ALTER TABLE tenants RENAME TO elsewhere")
    page.until("document.getElementById('problems').innerText.includes(\"the hub's database failed\")")
    database.execute("ALTER TABLE elsewhere RENAME TO tenants")
    database.close()
    hub.kill()
    page.until("document.getElementById('problems').innerText.includes('The hub does not answer')", 60)
    assert "what is shown is of" in page.text("#problems")
    hub.start()
    page.until("!document.getElementById('problems').innerText.includes('The hub does not answer')", 60)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_can_be_read(hub, browser, make_agent, dark, tmp_path):
    """Contrast of text as WCAG 2 asks for it, and nothing wider than the screen, on a phone too."""
    make_agent(invite(hub, NAME, "a-very-long-name-of-a-service." + "x" * 60 + ".example.eu"),
               [{"hostname": NAME, "origin": "127.0.0.1:9"}, {"hostname": "elsewhere.eu", "origin": "127.0.0.1:9"}])
    page = browser.open(page_url(hub), dark=dark)
    assert page.js("matchMedia('(prefers-color-scheme: dark)').matches") is dark
    sign_in(page, hub)
    page.until("document.querySelectorAll('#services tbody tr').length === 2")
    poor = page.js("""(() => {
      const parse = (text) => text.match(/[0-9.]+/g).map(Number);
      const linear = (part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
      const ground = (node) => {
        for (; node; node = node.parentElement) {
          const color = parse(getComputedStyle(node).backgroundColor);
          if (color.length < 4 || color[3] === 1) return color;
        }
        return [255, 255, 255];
      };
      return [...document.querySelectorAll('main *, header *')].filter((node) => node.checkVisibility() &&
          [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())).map((node) => {
        const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
        return [node.textContent.slice(0, 40), (a + 0.05) / (b + 0.05)];
      }).filter(([, contrast]) => contrast < 4.5);
    })()""")
    assert poor == []
    for width in (1280, 768, 360):
        page.resize(width, 800, mobile=width == 360)
        page.settle()
        assert page.js("document.documentElement.scrollWidth") <= width
        page.screenshot(tmp_path / f"{width}.png")
    unlabelled = page.js("[...document.querySelectorAll('input, select, button')].filter(e => !e.labels?.length && "
                         "!e.innerText.trim() && !e.getAttribute('aria-label')).map(e => e.outerHTML)")
    assert [one for one in unlabelled if "hidden" not in one and "sure" not in one] == []
    well(page)
    # The policy is in force: whatever came to be in the page, nothing of it would run.
    for attempt in ("document.body.innerHTML = '<b>'", "document.body.setAttribute('onclick', 'window.pwned = 1')"):
        assert page.js(f"try {{ {attempt}; 'taken' }} catch (error) {{ error.name }}") == "TypeError", attempt
    assert page.js("document.body.click()") is None and page.js("window.pwned") is None
    assert any("TrustedHTML" in str(one) for one in page.complaints())


def test_the_health_listener_shows_names_on_loopback_alone(make_node, browser, make_agent):
    node = make_node()
    make_agent(node.invite(NAME), [{"hostname": NAME, "origin": "127.0.0.1:9"},
                                   {"hostname": "elsewhere.eu", "origin": "127.0.0.1:9"}])
    url = f"http://127.0.0.1:{node.hub_health_port}/status"

    def told(address=url, **headers):
        with urllib.request.urlopen(urllib.request.Request(address + ".json", headers=headers), timeout=10) as answer:
            return json.load(answer)
    wait_until(lambda: len(told()["tenants"][0]["services"]) == 2, "the hub has heard of the services")
    page = browser.open(url)
    page.until("document.querySelectorAll('#services tbody tr').length === 2")
    assert page.rows("#services")[0][0] == "elsewhere.eu" and page.text("#door") == "" and page.text("#invites") == ""
    assert all("Authorization" not in request["headers"] for request in page.requests())
    well(page)
    # A site that has its own name lead to this listener gets no more than a stranger does.
    assert "tenants" not in told(Host="rebound.example.eu:9091") and "tenants" in told(Host="localhost:1")

    open_node = make_node(start=False, name="open", TOWONEL_HUB_HEALTH_LISTEN_ADDR=f"0.0.0.0:{(port := free_port())}")
    open_node.hub_health_port = port
    open_node.start()
    make_agent(open_node.invite(NAME), [{"hostname": NAME, "origin": "127.0.0.1:9"},
                                        {"hostname": "elsewhere.eu", "origin": "127.0.0.1:9"}])
    url = f"http://127.0.0.1:{port}/status"
    wait_until(lambda: told(url)["summary"]["services"] == {"up": 1, "refused": 1}, "the hub has heard of the services")
    text = json.dumps(told(url))
    assert "example.eu" not in text and "alice" not in text and "elsewhere" not in text
    page = browser.open(url)
    page.until("document.querySelector('#verdict').textContent === '1 problem'")
    assert page.text("#problems") == "1 service: refused" and "shown to the operator alone" in page.text("#nameless")
    assert page.text("#tiles").split("\n")[:2] == ["Services up", "1 of 2"]
    well(page)
