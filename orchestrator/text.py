"""Texts for people: characters that are safe on a terminal, and counts with their noun."""

from __future__ import annotations


def plain(text: str, keep: str = "") -> str:
    """`text` with every character escaped that is not printable, newlines included; those in `keep` are kept."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def counted(count: int, noun: str) -> str:
    """`1 container`, `2 containers`: a count with its noun in the singular or with an `s`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size(count: int) -> str:
    """Bytes, to three digits: `1.46 MiB`."""
    if count < 1000:
        return f"{count} B"
    value, units = count / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while value >= 1000 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.3g} {units[0]}"
