"""Names of images."""

from __future__ import annotations

import pytest

from orchestrator.domain.version.reference import Reference, digest_of, is_id, parse, with_digest

DIGEST = "sha256:" + "a1" * 32


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("mymodel", "docker.io/library/mymodel", "latest", ""),
        ("mymodel:1.4", "docker.io/library/mymodel", "1.4", ""),
        ("eve/mymodel", "docker.io/eve/mymodel", "latest", ""),
        ("a/b/c:x", "docker.io/a/b/c", "x", ""),
        ("docker.io/library/python:3.11", "docker.io/library/python", "3.11", ""),
        ("registry.example.com/ci/mymodel:1.4", "registry.example.com/ci/mymodel", "1.4", ""),
        ("registry.example.com:5000/m", "registry.example.com:5000/m", "latest", ""),
        ("localhost/m", "localhost/m", "latest", ""),
        ("localhost:5000/m:v1", "localhost:5000/m", "v1", ""),
        ("[::1]:5000/m", "[::1]:5000/m", "latest", ""),
        (f"r.example.com/m@{DIGEST}", "r.example.com/m", "", DIGEST),
        (f"r.example.com/m:1.4@{DIGEST}", "r.example.com/m", "1.4", DIGEST),
        ("my_model__x.y-z:A_b.c-1", "docker.io/library/my_model__x.y-z", "A_b.c-1", ""),
    ],
)
def test_the_parts_of_a_name(text: str, repository: str, tag: str, digest: str) -> None:
    assert parse(text) == Reference(repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "My Model",
        "MyModel",
        "m:",
        "m:-x",
        "m@",
        "m@sha256:abc",
        f"m@md5:{'a' * 32}",
        "/m",
        "m/",
        "a//b",
        "https://r.example.com/m",
        "m\n",
        "--m",
        "m:" + "x" * 129,
        "a" * 256,
        DIGEST,
    ],
)
def test_other_texts_are_not_names(text: str) -> None:
    assert parse(text) is None


def test_a_name_in_full_is_parsed_to_itself() -> None:
    for text in ("docker.io/library/m:latest", f"r.example.com/ci/m@{DIGEST}"):
        assert str(parse(text)) == text
    name = parse("r.example.com:5000/ci/m:1")
    assert name is not None
    assert name.host == "r.example.com:5000"


def test_digests() -> None:
    assert is_id(DIGEST)
    assert is_id("a1" * 32)
    assert not is_id("a1" * 31)
    assert (digest_of(f"m:1@{DIGEST}"), digest_of("m:1"), digest_of(None)) == (DIGEST, "", "")
    assert with_digest("m:1", DIGEST) == with_digest(f"m:1@sha256:{'0' * 64}", DIGEST) == f"m:1@{DIGEST}"
