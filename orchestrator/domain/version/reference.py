"""Names of images, as Docker writes them. Pure.

The grammar is that of github.com/distribution/reference. A name without a host is one of Docker Hub.
"""

from __future__ import annotations

import re

from orchestrator.frozen import frozen

_HUB = "docker.io"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?:(?P<host>{_HOST})/)?(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_ID = re.compile(r"sha256:[0-9a-f]{64}|[0-9a-f]{64}")
_LONGEST = 255


@frozen
class Reference:
    """The name of an image in full: `repository` is `host/path`. Without a digest the tag says which image it is."""

    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def host(self) -> str:
        return self.repository.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def parse(text: str) -> Reference | None:
    """The parts of a name; None when it is not the name of an image. Without tag and digest, the tag is `latest`."""
    match = _NAME.fullmatch(text)
    if match is None or is_id(text) or len(text) > 2 * _LONGEST:
        return None
    host, path = match["host"], match["path"]
    if host is not None and not ("." in host or ":" in host or host == "localhost" or host != host.lower()):
        # The first part is a host only if it looks like one.
        host, path = None, f"{host}/{path}"
    if host is None:
        host, path = _HUB, path if "/" in path else f"library/{path}"
    repository = f"{host}/{path}"
    if len(repository) > _LONGEST:
        return None
    digest = match["digest"] or ""
    return Reference(repository, match["tag"] or ("" if digest else "latest"), digest)


def is_id(text: str) -> bool:
    """Whether a text is the id of an image."""
    return _ID.fullmatch(text) is not None


def digest_of(name: str | None) -> str:
    """The digest in a name; empty without one."""
    return (name or "").partition("@")[2]


def with_digest(name: str, digest: str) -> str:
    """A name with this digest, whatever digest it had."""
    return f"{name.partition('@')[0]}@{digest}"
