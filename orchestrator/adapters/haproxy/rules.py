"""The rules that every request passes before a version is chosen, as lines of HAProxy's configuration. Pure.

They hold on HAProxy 2.6 and 3.0. A refused request is answered with 400, the reason and its id, and the connection is
closed: after a request that two programs read differently, no later one on it can be trusted.
"""

from __future__ import annotations

# HAProxy 2.6.12 reads a Content-Length of 2^64 as 0 and passes it on, so a model would take the next request on the
# connection, which may be that of another client, for the body. 18 digits stay below 2^63.
_LENGTH = "^[0-9]{1,18}$"


def request_id() -> list[str]:
    """Every request has an id, which the model sees and the client gets back. A client may choose it."""
    return [
        # A longer one would take the place that other headers need in the buffer.
        "http-request set-header X-Request-Id %[uuid()] unless { req.hdr(X-Request-Id) -m len 1:200 }",
        "http-request set-var(txn.request) req.hdr(X-Request-Id)",
    ]


def refusals() -> list[str]:
    """Refuses requests whose meaning or whose length is not certain."""
    return [
        _refuse(
            "Content-Length must be a number of 1 to 18 digits",
            f"{{ req.hdr(Content-Length) -m found }} !{{ req.fhdr(Content-Length) -m reg {_LENGTH} }}",
        )
    ]


def without_upgrade() -> list[str]:
    """Removes the offer of HTTP/2, with the headers that belong to it: a model that took it would leave HTTP."""
    offered = "{ req.hdr(Upgrade) -m beg -i h2c }"
    return [
        f"http-request del-header Connection if {offered}",
        f"http-request del-header Upgrade if {offered}",
        "http-request del-header HTTP2-Settings",
    ]


def answers() -> list[str]:
    """Refuses answers whose length is not certain: the rest would be read as the answer to another request."""
    text = _text("the model sent a Content-Length that is not a number of 1 to 18 digits")
    return [
        f"http-response deny status 502 {text} if {{ res.hdr(Content-Length) -m found }}"
        f" !{{ res.fhdr(Content-Length) -m reg {_LENGTH} }}"
    ]


def _refuse(why: str, condition: str) -> str:
    return f"http-request deny status 400 {_text(why)} if {condition}"


def _text(why: str) -> str:
    body = f"{why} (request %[var(txn.request)])\\n"
    return f'hdr Connection close content-type text/plain lf-string "{body}"'
