"""Printing text from outside safely: without control characters and without characters that change the direction."""

from __future__ import annotations


def plain(text: str, keep: str = "") -> str:
    """`text` with every character escaped that is not printable, newlines included; those in `keep` are kept."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
