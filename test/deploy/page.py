#!/usr/bin/env python3
"""A page as Chromium shows it.

    page.py CHROMIUM FOLDER

Reads lines "URL WIDTH light|dark SCREENSHOT", and prints for each one line of
JSON: what was measured in the page.  FOLDER is for the browser's profile.

It is driven over two pipes (--remote-debugging-pipe), so that nothing but
Python's own library is needed, and no port.
"""
import base64
import json
import os
import subprocess
import sys
import threading

LIMIT = 120  # seconds for an answer of the browser

# Measured in the page, beside what the page itself may run: it has no script.
MEASURE = """(() => {
  const style = e => getComputedStyle(e);
  const shown = s => [...document.querySelectorAll(s)].filter(e => e.offsetParent !== null);
  const rgb = c => c.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const light = c => { const [r, g, b] = rgb(c); return (r * 299 + g * 587 + b * 114) / 1000; };
  return {
    width: innerWidth,
    scroll: document.documentElement.scrollWidth,
    inner: Math.max(0, ...[...document.querySelectorAll('section')].map(
      e => e.scrollWidth - e.clientWidth)),
    paper: light(style(document.body).backgroundColor),
    ink: light(style(document.body).color),
    state: document.querySelector('.state')?.textContent,
    state_class: document.querySelector('.state')?.className,
    cards: Object.fromEntries([...document.querySelectorAll('.card')].map(
      e => [e.querySelector('span').textContent, e.querySelector('b').className + '|' + e.querySelector('b').textContent])),
    titles: [...document.querySelectorAll('h2')].map(e => e.textContent),
    names: shown('td.name').map(e => e.textContent),
    wide: shown('.wide').length,
    progress: shown('progress').length,
    elements: [...new Set([...document.querySelectorAll('*')].map(e => e.localName))].sort(),
    styled: document.styleSheets.length,
    handlers: [...document.querySelectorAll('*')].filter(
      e => [...e.attributes].some(a => a.name.startsWith('on'))).length,
    outside: performance.getEntriesByType('resource').map(e => e.name).filter(
      n => !n.startsWith(location.origin)),
  };
})()"""


class Browser:
    def __init__(self, program, folder):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        command = [program, "--headless=new", "--no-sandbox", "--disable-gpu",
                   "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
                   "--disable-background-networking", "--disable-component-update",
                   "--remote-debugging-pipe", "--user-data-dir=" + folder, "about:blank"]
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "sh", *command],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL,
            stderr=open(os.path.join(folder, "stderr"), "w"), stdin=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.read, self.write = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")
        self.rest, self.n, self.session = b"", 0, None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next((t for t in targets if t["type"] == "page"), None)
        target = page["targetId"] if page else self.call(
            "Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def message(self):
        while b"\0" not in self.rest:
            more = os.read(self.read.fileno(), 1 << 16)
            if not more:
                raise EOFError("the browser ended")
            self.rest += more
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, **params):
        self.n += 1
        m = {"id": self.n, "method": method, "params": params}
        if self.session:
            m["sessionId"] = self.session
        self.write.write(json.dumps(m).encode() + b"\0")
        self.write.flush()
        watch = threading.Timer(LIMIT, self.process.kill)
        watch.start()
        while True:
            answer = self.message()
            if answer.get("id") == self.n:
                watch.cancel()
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.loaded = self.loaded or answer.get("method") == "Page.loadEventFired"

    loaded = False

    def show(self, url, width, scheme, screenshot):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.loaded = False
        self.call("Page.navigate", url=url)
        while not self.loaded:
            self.loaded = self.message().get("method") == "Page.loadEventFired"
        found = self.call("Runtime.evaluate", expression=MEASURE, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"]))
        png = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        with open(screenshot, "wb") as f:
            f.write(base64.b64decode(png))
        return found["result"]["value"]

    def close(self):
        self.process.kill()
        self.process.wait()


browser = Browser(sys.argv[1], sys.argv[2])
try:
    for line in sys.stdin:
        url, width, scheme, screenshot = line.split()
        print(json.dumps(browser.show(url, int(width), scheme, screenshot)), flush=True)
finally:
    browser.close()
