#!/usr/bin/env python3
"""A model hangs at its first request, its health check too. The watchdog restarts it; it hangs again at the next one.

No pass over an app that answers nothing ends with 0, calls it healthy, or calls the heartbeat.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROGRAM, APP = os.environ.get("DEPLOYCTL", "deployctl"), "s1c08w"
PORT = int(os.environ.get("PORT", "42532"))
BEATS = []
SERVER = """
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
MODE = open("/mode").read()
hang = False
class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments): pass
    def do_GET(self):
        global hang
        hang = hang or (self.path != "/healthz" and MODE == "hang")
        if hang:
            time.sleep(3600)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


class Heart(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        BEATS.append(time.time())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_HEAD = do_GET


heart = ThreadingHTTPServer(("127.0.0.1", 0), Heart)
threading.Thread(target=heart.serve_forever, daemon=True).start()
work = Path(tempfile.mkdtemp(prefix="s1c08w-"))
state, model = work / "state", work / "m"
environment = {**os.environ, "DEPLOYCTL_STATE_DIR": str(state)}
model.mkdir()
(model / "server.py").write_text(SERVER)
(model / "Dockerfile").write_text('FROM cases/base:py\nCOPY server.py mode /\nCMD ["python3", "/server.py"]\n')
(model / "deploy.toml").write_text(
    f'[app]\nname = "{APP}"\nport = 8080\n[proxy]\nlisten = "127.0.0.1:{PORT}"\ntimeout = "3s"\n'
    f'[watchdog]\nheartbeat = "http://127.0.0.1:{heart.server_port}/"\n'
)


def deployctl(*arguments):
    return subprocess.run(
        [PROGRAM, *arguments], cwd=model, env=environment, capture_output=True, text=True, check=False
    )


def ask():
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/p", timeout=6) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return str(error)[:30]


def clean():
    def run(*command):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()

    for container in run("docker", "ps", "-aq", "--filter", f"label=deployctl.app={APP}"):
        run("docker", "rm", "-f", container)
    digest = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:8]
    run("docker", "rm", "-f", f"deployctl-proxy-{digest}")
    run("docker", "network", "rm", f"deployctl-{digest}")
    for image in run("docker", "images", "-q", APP):
        run("docker", "rmi", "-f", image)
    shutil.rmtree(work)


wrong = []
try:
    for mode in ("ok", "hang"):
        (model / "mode").write_text(mode)
        done = deployctl("release")
        assert done.returncode == 0, done.stderr
    print("  first request to v2:", ask())
    for number in range(1, 6):
        before = len(BEATS)
        done = deployctl("watchdog", "run", "--json")
        found = json.loads(done.stdout)["passes"][0]
        time.sleep(0.2)
        beats = len(BEATS) - before
        ask()  # it hangs from here on
        time.sleep(1.5)
        answer = ask()
        facts = {name: found[name] for name in ("outcome", "done", "waiting")}
        print(f"  pass {number}: exit {done.returncode}, {facts}, heartbeat {beats}; a request now: {answer}")
        repaired = found["outcome"] == "acted"
        if answer != 200 and not repaired and (done.returncode == 0 or beats or found["outcome"] == "healthy"):
            wrong.append(number)
        if (beats > 0) != (done.returncode == 0):
            wrong.append(number)
        time.sleep(1)
finally:
    clean()
print(f"WRONG: passes {wrong} over an app that answers nothing are good" if wrong else "RIGHT")
sys.exit(bool(wrong))
