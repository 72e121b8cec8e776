"""A model that answers as fast as one thread can: `fast_model.py ADDRESS PORT VERSION`. It answers everything alike."""

from __future__ import annotations

import re
import selectors
import socket
import sys

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")

CLOSE = re.compile(rb"(?i)\r\nconnection: *close\r\n")


def serve(address: str, port: int, version: str) -> None:
    body = version.encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    selector = selectors.DefaultSelector()
    listener = socket.create_server((address, port), backlog=256)
    selector.register(listener, selectors.EVENT_READ)
    received: dict[socket.socket, bytes] = {}
    print("listens", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ)
                received[connection] = b""
                continue
            connection = key.fileobj  # type: ignore[assignment]
            try:
                data = connection.recv(65536)
                received[connection] += data
                while data and (size := complete(received[connection])):
                    connection.sendall(answer)
                    if CLOSE.search(received[connection], 0, size):
                        data = b""
                    received[connection] = received[connection][size:]
            except OSError:
                data = b""
            if not data:
                selector.unregister(connection)
                connection.close()
                received.pop(connection)


def complete(data: bytes) -> int:
    """The size of the first request in the data; 0: it is not complete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 0
    length = LENGTH.search(data, 0, end + 2)
    size = end + 4 + (int(length[1]) if length else 0)
    return size if len(data) >= size else 0


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
