#!/usr/bin/env python3
"""The terminal of a release is lost in the middle (ssh drops): SIGHUP, and every later write fails.

The release stops at a safe point or is complete, with exit code 129, and no deployment is left open.
"""

import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

APP, PORT = "case06h", os.environ.get("PORT", "42531")
PROGRAM = shutil.which(os.environ.get("DEPLOYCTL", "deployctl")) or sys.exit("there is no deployctl")
TOP = Path(tempfile.mkdtemp(prefix="case-"))
STATE = TOP / "state"
os.environ["DEPLOYCTL_STATE_DIR"] = str(STATE)
SERVER = """
from http.server import *
class H(BaseHTTPRequestHandler):
    def do_GET(s):
        s.send_response(200); s.end_headers(); s.wfile.write(open("/n", "rb").read())
ThreadingHTTPServer(("", 8080), H).serve_forever()
"""
FILES = {
    "server.py": SERVER,
    "Dockerfile": 'FROM cases/base:py\nCOPY server.py n /\nCMD ["python3", "/server.py"]\n',
    "deploy.toml": f'[app]\nname = "{APP}"\nport = 8080\n[proxy]\nlisten = "127.0.0.1:{PORT}"\n',
}


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def hang_up_at(words: str) -> int:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(PROGRAM, [PROGRAM, "release"])
    seen = b""
    while words.encode() not in seen:
        try:
            seen += os.read(terminal, 4096)
        except OSError:
            break
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> int:
    (TOP / "app").mkdir()
    os.chdir(TOP / "app")
    for name, text in FILES.items():
        Path(name).write_text(text)
    wrong = 0
    for number, words in enumerate(("", "Step 1", "create 1", "register", "wait until", "switch")):
        Path("n").write_text(str(number))
        if not words:
            subprocess.run([PROGRAM, "release", "--quiet"], check=True)
            continue
        code = hang_up_at(words)
        status = json.loads(run(PROGRAM, "status", "--json"))
        if status["deployment"] or code not in (0, 129):
            print(f"WRONG: terminal lost at {words!r}: exit code {code}, deployment {status['deployment']}")
            wrong = 1
    return wrong


def clean() -> None:
    state = hashlib.sha256(str(STATE.resolve()).encode()).hexdigest()[:8]
    run("docker", "rm", "-f", *run("docker", "ps", "-aq", "--filter", f"label=deployctl.state={state}").split())
    run("docker", "network", "rm", f"deployctl-{state}")
    run("docker", "rmi", "-f", *run("docker", "images", "-q", APP).split())
    shutil.rmtree(TOP)


try:
    code = main()
finally:
    clean()
sys.exit(code)
