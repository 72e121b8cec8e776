"""What a server speaks that does not answer HTTP/1.1: TLS, or HTTP/2 without TLS."""

from __future__ import annotations

import socket
from contextlib import closing

from orchestrator.domain.health.diagnosis import Protocol

# The first bytes of a client that knows that the server speaks HTTP/2, and an empty SETTINGS frame (RFC 9113, 3.4).
_H2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
_SETTINGS = 4
# A record of TLS begins with its type, alert or handshake, and the major version 3 (RFC 8446, 5.1).
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")


def protocol(address: str, port: int, timeout: float) -> Protocol:
    """What the server at an address speaks; empty when it is neither. Takes at most about twice `timeout` seconds."""
    first = _answer(address, port, _client_hello(), timeout)
    if first[:2] in _TLS_RECORDS:
        return "tls"
    first = _answer(address, port, _H2, timeout)
    return "h2" if len(first) > 3 and first[3] == _SETTINGS and first[:2] == b"\x00\x00" else ""


def _client_hello() -> bytes:
    import ssl  # only a failed probe needs it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("no handshake ends before the server has answered")


def _answer(address: str, port: int, data: bytes, timeout: float) -> bytes:
    """The first bytes that a server sends back; empty when it sends nothing."""
    try:
        with closing(socket.create_connection((address, port), timeout=timeout)) as connection:
            connection.sendall(data)
            return connection.recv(64)
    except OSError:
        return b""
