"""The names that HAProxy's configuration and its runtime commands share. Pure."""

from __future__ import annotations

import re

from orchestrator.domain.traffic.slot import Slot

FOLDER = "/etc/deployctl"
ROUTES = f"{FOLDER}/routes.map"
MESSAGES = f"{FOLDER}/messages.map"
VERSIONS = f"{FOLDER}/versions.map"
REPLICAS = f"{FOLDER}/replicas.map"
# For workers that a reload has left, whose servers cannot be changed any more: where a slot is now, if it has moved.
MOVED = f"{FOLDER}/moved.map"
# The address of the servers of a parked slot, where nothing listens. Their checks fail at once; they are not in
# maintenance, because a server that leaves it counts as up until its next check.
PARKED_ADDRESS, PARKED_PORT = "127.0.0.1", 1
PARKED = f"{PARKED_ADDRESS}:{PARKED_PORT}"
# The end of the name of a slot's second backend: see `shielded`.
SHIELDED = "_shielded"
# Names of HAProxy have letters, digits and .:_- only.
_BRACKETS = str.maketrans("", "", "[]")
_WORD = re.compile(r"(?!.*%\[)[A-Za-z0-9._~/%?=&:@+,;*\[\]-]+")
# The table that counts the requests of each app that were held for too long: see haproxy.cfg.
UNANSWERED = "deployctl_unanswered"


def word(text: str) -> str:
    """The text, checked right before it is written to a file of the proxy.

    Raises:
        ValueError: it has a character that HAProxy interprets.
    """
    if not _WORD.fullmatch(text):
        raise ValueError(f"{text!r} must not reach the proxy's configuration")
    return text


def regex(text: str) -> str:
    """A regular expression that matches a word."""
    return word(text).replace(".", "\\.").replace("~", "\\x7e")


def backend(app: str, slot: Slot) -> str:
    """HAProxy's name for a slot. App names are DNS labels, so they contain no underscore."""
    return f"{app}_{slot}"


def shielded(app: str, slot: Slot) -> str:
    """The backend that asks a slot first and then the other one: for the newer version, while it has a fallback."""
    return f"{backend(app, slot)}{SHIELDED}"


def answers(app: str) -> str:
    """The table that counts the answers of an app's slots by their response times."""
    return f"{app}_answers"


def frontend(listen: str) -> str:
    """HAProxy's name for what listens at `address:port`, which tells the addresses of all configurations apart."""
    return f"listen_{word(listen).replace('*', 'all').translate(_BRACKETS)}"
