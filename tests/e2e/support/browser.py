# SPDX-License-Identifier: MIT
"""A headless Chromium, driven by its DevTools protocol over a pair of pipes."""

import base64
import json
import os
import subprocess
import tempfile
import threading
import time

from .process import PATIENCE, wait_until

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         "--force-color-profile=srgb", "--remote-debugging-pipe"]

# Those with a meaning of their own: code, and what they type.
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), " ": (32, " ")}


class Browser:
    def __init__(self, directory, *flags):
        ours_in, its_out = os.pipe()
        its_in, ours_out = os.pipe()

        def pipes():  # where Chromium expects them
            first, second = os.dup(its_in), os.dup(its_out)
            os.dup2(first, 3)
            os.dup2(second, 4)
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._log = open(os.path.join(str(directory), "browser.log"), "ab")
        self.popen = subprocess.Popen(
            ["chromium", *FLAGS, f"--user-data-dir={self._profile.name}", *flags, "about:blank"],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": self._profile.name}, stdin=subprocess.DEVNULL,
            stdout=self._log, stderr=self._log, close_fds=False, preexec_fn=pipes)
        os.close(its_in)
        os.close(its_out)
        self._out = os.fdopen(ours_out, "wb", buffering=0)
        self._in = os.fdopen(ours_in, "rb")
        self._condition = threading.Condition()
        self._answers, self._events, self._last, self._closed = {}, {}, 0, False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        rest = b""
        while data := self._in.read1(1 << 16):
            *messages, rest = (rest + data).split(b"\0")
            with self._condition:
                for message in map(json.loads, messages):
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self._events.setdefault(message.get("sessionId"), []).append(message)
                self._condition.notify_all()
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def call(self, method, session=None, **parameters):
        with self._condition:
            self._last += 1
            number = self._last
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        self._out.write(json.dumps(message).encode() + b"\0")
        with self._condition:
            there = self._condition.wait_for(lambda: number in self._answers or self._closed, PATIENCE)
            assert there and number in self._answers, f"the browser does not answer {method}"
            answer = self._answers.pop(number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def events(self, session):
        with self._condition:
            return list(self._events.get(session, []))

    def open(self, url, **options):
        return Page(self, url, **options)

    def close(self):
        self.popen.kill()
        self.popen.wait()
        self._out.close()
        self._log.close()
        self._profile.cleanup()


class Page:
    """A tab. What it complains of (exceptions, violations of its policy, failed requests) is kept."""

    def __init__(self, browser, url, dark=False, width=1280, height=900):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.scheme(dark)
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def events(self, *methods):
        return [event["params"] for event in self.browser.events(self.session) if event["method"] in methods]

    def complaints(self):
        return ([event["entry"]["text"] for event in self.events("Log.entryAdded")
                 if event["entry"]["level"] in ("error", "warning")] +
                [event["exceptionDetails"] for event in self.events("Runtime.exceptionThrown")] +
                [event["args"] for event in self.events("Runtime.consoleAPICalled") if event["type"] in ("error", "warning")])

    def requests(self):
        return [event["request"] for event in self.events("Network.requestWillBeSent")]

    def resize(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def scheme(self, dark):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def js(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def until(self, expression, timeout=PATIENCE):
        return wait_until(lambda: self.js(f"!!({expression})"), f"{expression} in the page", timeout)

    def text(self, selector):
        """What is shown of it; "" when nothing is."""
        return self.js(f"(node => node?.checkVisibility() ? node.innerText : '')(document.querySelector({json.dumps(selector)}))")

    def rows(self, selector):
        return self.js(f"[...document.querySelectorAll({json.dumps(selector + ' tbody tr')})].map("
                       "row => [...row.cells].map(cell => cell.innerText))")

    def press(self, key, shift=False):
        code, text = KEYS[key]
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code={" ": "Space"}.get(key, key),
                      windowsVirtualKeyCode=code, modifiers=8 if shift else 0,
                      **({"text": text} if kind == "keyDown" and text else {}))

    def type(self, text):
        self.call("Input.insertText", text=text)

    def focused(self):
        """What has the focus, as a reader is told of it: its id, or its label or text."""
        return self.js("(e => e.id || e.getAttribute('aria-label') || e.innerText || e.tagName)(document.activeElement)")

    def tab_to(self, name, most=60):
        """Goes there by the Tab key alone."""
        for _ in range(most):
            if self.focused() == name:
                return
            self.press("Tab")
        raise AssertionError(f"Tab does not come to {name!r}, but to {self.focused()!r}")

    def screenshot(self, path, full=True):
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def settle(self, seconds=0.3):
        time.sleep(seconds)
