"""Text of strangers as it may be shown: without what would steer a terminal or turn its reading direction."""

from __future__ import annotations


def plain(text: str, keep: str = "") -> str:
    """`text` with every character escaped that is not printable, newlines too; those in `keep` stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
