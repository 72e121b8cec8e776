"""Libraries that are loaded with less work: they behave as usual."""

from __future__ import annotations

import subprocess
import sys

from tests.unit.program import ROOT

PROGRAM = """
import re, sys
compiled = re.compile
from orchestrator.loading import _LatePattern, load_docker
load_docker()
assert re.compile is compiled
from urllib3.util import url
assert isinstance(url._IPV6_RE, _LatePattern), url._IPV6_RE
assert vars(url._IPV6_RE).keys() == {"_arguments"}, "it is not compiled yet"
assert isinstance(re.compile("a"), re.Pattern)
addresses = ("http://[::1]:80/x", "http://[fe80::1%25eth0]/", "http+docker://localhost/v1.41/info?a=b", "http://10.0.0.1/")
print([tuple(url.parse_url(address)) for address in addresses])
import http.cookiejar
print(http.cookiejar.http2time("Wednesday, 09-Feb-94 22:23:32 GMT"))
import idna
print(idna.encode("größe.example"))
"""


def test_expressions_that_are_compiled_late_match_the_same() -> None:
    usual = PROGRAM.replace("load_docker()\n", "import docker\n", 1)
    usual = "\n".join(line for line in usual.splitlines() if not line.startswith("assert"))
    late, plain = (
        subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for text in (PROGRAM, usual)
    )
    assert late == plain
    assert late.count("\n") == 3
