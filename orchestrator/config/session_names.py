"""What may name a session in proxy.sticky."""

from __future__ import annotations

from orchestrator.config.explain import Invalid

# Headers that are about the message or its way, and the same for all requests of a connection, or of an app.
_NO_SESSION = frozenset(
    ("host", "connection", "content-length", "content-type", "transfer-encoding", "te", "trailer", "upgrade", "expect")
)


def session_name(text: str) -> str:
    """What names a session.

    Raises:
        Invalid: it is a header that names none.
    """
    kind, _, name = text.partition(":")
    if kind == "header" and name.lower() in _NO_SESSION:
        raise Invalid(f"the header {name} does not tell sessions apart", 'name one that does, as "header:X-Session-Id"')
    return text
