"""Hints for failed builds. The errors are as the two builders write them."""

from __future__ import annotations

import pytest

from orchestrator.domain.version.build_hints import GENERAL, build_hint

BUILDKIT = "this Dockerfile needs BuildKit: install docker-buildx-plugin"
HEREDOC = "FROM base\nRUN <<EOT\necho hi\nEOT\n"
PLATFORM = "FROM --platform=${BUILDPLATFORM} base\n"


def hint(why: str, dockerfile: str = "FROM base\n", lines: str = "", *, classic: bool = True) -> str:
    return build_hint(why, lines, dockerfile, classic=classic, builder="auto")


@pytest.mark.parametrize(
    ("why", "dockerfile"),
    [
        ("the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/", "FROM base\n"),
        ("the --chmod option requires BuildKit.", "FROM base\n"),
        ("dockerfile parse error line 2: Unknown flag: link", "FROM base\n"),
        ("dockerfile parse error line 3: unknown instruction: ECHO", HEREDOC),
        ("dockerfile parse error line 3: unknown instruction: X", 'FROM base\ncopy <<-"EOF" /x\nx\nEOF\n'),
        ("COPY failed: file not found in build context: stat <<EOF: file does not exist", "FROM b\nCOPY <<EOF /x\n"),
        ('failed to parse platform : "" is an invalid component of "": platform specifier', PLATFORM),
        ('failed to parse platform : "" is an invalid component', "FROM --platform=$TARGETPLATFORM base\n"),
    ],
)
def test_what_only_buildkit_supports(why: str, dockerfile: str) -> None:
    assert hint(why, dockerfile).startswith(BUILDKIT)
    assert not hint(why, dockerfile, classic=False).startswith(BUILDKIT), "BuildKit did not lack BuildKit"


def test_a_chosen_classic_builder_is_named() -> None:
    text = build_hint("the --mount option requires BuildKit", "", "", classic=True, builder="classic")
    assert text == f'{BUILDKIT}, and set build.builder = "auto"'


@pytest.mark.parametrize("classic", [True, False])
@pytest.mark.parametrize(
    ("why", "text"),
    [
        (
            "dockerfile parse error line 2: unknown instruction: COPPY",
            "fix line 2 of the Dockerfile: there is no instruction COPPY (did you mean COPY?)",
        ),
        (
            "failed to solve: dockerfile parse error on line 7: unknown instruction: RUNN (did you mean RUN?)",
            "fix line 7 of the Dockerfile: there is no instruction RUNN (did you mean RUN?)",
        ),
        ("dockerfile parse error line 1: unknown instruction: QQQQ", "there is no instruction QQQQ"),
        ("dockerfile parse error line 4: ENV must have two arguments", "fix line 4 of the Dockerfile"),
        ("failed to solve: the Dockerfile (Dockerfile) cannot be empty", "fix the Dockerfile"),
        ("no build stage in current context", "fix the Dockerfile"),
        ("COPY failed: file not found in build context or excluded by .dockerignore: stat x", ".dockerignore"),
        ('failed to solve: failed to compute cache key: "/x" not found: not found', ".dockerignore"),
        ('failed to calculate checksum of ref abc::def: "/x": not found', ".dockerignore"),
        ("failed to reach build target web in Dockerfile", "build.target"),
        ('failed to solve: target stage "web" could not be found', "build.target"),
        (
            "pull access denied for nowhere, repository does not exist or may require 'docker login'",
            "base image (FROM)",
        ),
        ("failed to solve: nowhere/x:1: failed to resolve source metadata for x: not found", "base image (FROM)"),
        ("manifest for debian:nine not found: manifest unknown: manifest unknown", "base image (FROM)"),
        ("toomanyrequests: You have reached your pull rate limit.", "limits pulls"),
        ('Get "https://r.example.com/v2/": dial tcp: lookup r.example.com: no such host', "the base image"),
        (
            'failed to do request: Head "https://r/v2/x": dial tcp 1.2.3.4:443: i/o timeout',
            "registry of the base image",
        ),
        ("write /var/lib/docker/x: no space left on device", "deployctl prune"),
        ("The command '/bin/sh -c make' returned a non-zero code: 137", "too little memory"),
        ('process "/bin/sh -c make" did not complete successfully: exit code: 137', "too little memory"),
        ('process "/bin/sh -c x" did not complete successfully: exit code: 127', "not found in the image"),
        ("exec /bin/sh: exec format error", "another platform"),
        ("The command '/bin/sh -c false' returned a non-zero code: 1", GENERAL),
    ],
)
def test_other_errors_on_both_builders(why: str, text: str, classic: bool) -> None:
    assert text in hint(why, classic=classic)


@pytest.mark.parametrize(
    "line",
    [
        "W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Temporary failure resolving",
        "curl: (6) Could not resolve host: pypi.org",
        "ERROR: Could not install packages: HTTPSConnectionPool: Max retries exceeded with url: /simple/numpy/",
        "npm ERR! code EAI_AGAIN",
    ],
)
def test_a_command_without_a_network(line: str) -> None:
    text = hint("The command '/bin/sh -c x' returned a non-zero code: 100", lines=f"Step 2\n{line}\n")
    assert "cannot reach the network" in text
    assert "build.args" in text


def test_a_frontend_that_cannot_be_loaded() -> None:
    why = "failed to solve: failed to resolve source metadata for docker.io/docker/dockerfile:1: no such host"
    assert "# syntax=" in hint(why, "# syntax=docker/dockerfile:1\nFROM base\n", classic=False)
    assert "# syntax=" not in hint("returned a non-zero code: 1", "# syntax=docker/dockerfile:1\nFROM base\n")
