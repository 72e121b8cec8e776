"""What builds and removed containers leave on the engine."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.build import Leftover


class Leftovers(Protocol):
    """Finds and removes what is left. Images and caches belong to all programs that build on the engine.

    Every method raises EngineUnreachable when the engine does not answer, and EngineError when it refuses.
    """

    def find(self, needed: Collection[str]) -> tuple[Leftover, ...]:
        """What is left: images, then caches, then volumes. Takes seconds where there are many images.

        These are images without a name that no container uses, except those whose id is `needed` and those of versions
        of another state folder; the build cache of the engine, and that of the builder that buildx uses if it keeps one
        of its own; and the anonymous volumes of containers of this state folder that were removed without them.
        """

    def remove(self, leftover: Leftover) -> int | None:
        """Removes something that `find` returned; returns the bytes that were freed. May be repeated.

        None: it does not exist any more, or is in use by now.
        """
