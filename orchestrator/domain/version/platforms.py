"""Which images an engine can run: platforms such as `linux/amd64`, as Docker writes them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

# Processors that also run the programs of another architecture.
_ALSO = {"amd64": ("386",), "arm64": ("arm",)}


def runs(engine: str, images: Sequence[str]) -> bool:
    """Whether an engine of this platform runs an image that exists for these. True when one of them is not known."""
    if not engine or not images or "" in images:
        return True
    system, _, processor = engine.partition("/")
    possible = (processor, *_ALSO.get(processor, ()))
    return any(
        name == system and architecture in possible
        for name, architecture in ([*image.split("/"), ""][:2] for image in images)
    )
