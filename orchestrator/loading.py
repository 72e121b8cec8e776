"""Loading what is heavy, late and whole."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

_LOADING = threading.Lock()


def load_httpx() -> None:
    """Imports httpx without its command line, which it offers only where click and rich can be imported.

    They can here, and would be two thirds of the import's time for a program that nobody calls.
    """
    with _LOADING:  # replicas are probed side by side: the first probe loads it, the others wait until it is whole
        if "httpx" in sys.modules:
            return
        # None in sys.modules makes `import` raise ImportError, which httpx is prepared for.
        sys.modules["httpx._main"] = None  # type: ignore[assignment]
        try:
            import httpx  # noqa: F401
        finally:
            del sys.modules["httpx._main"]


class Late:
    """Stands for an adapter that most commands never use: it is made, and its modules are loaded, at its first use."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)
