"""Loading modules when they are first needed, because importing them takes long."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_LOADING = threading.Lock()


def load_httpx() -> None:
    """Imports httpx without its command line program.

    httpx imports that program when click and rich are installed, which takes two thirds of the import's time.
    """
    with _LOADING:  # replicas are probed in parallel: the first probe imports it, the others wait until it is complete
        if "httpx" in sys.modules:
            return
        # None in sys.modules makes `import` raise ImportError, which httpx is prepared for.
        sys.modules["httpx._main"] = None  # type: ignore[assignment]
        try:
            import httpx  # noqa: F401
        finally:
            del sys.modules["httpx._main"]


def load_docker() -> None:
    """Imports docker without the detection of character sets that its HTTP library loads: the engine writes UTF-8.

    The HTTP library, requests, treats that detection as optional from version 2.32 on.
    """
    with _LOADING:
        if "docker" in sys.modules:
            return
        # None in sys.modules makes `import` raise ImportError; requests then warns, and assumes UTF-8.
        blocked = [name for name in ("chardet", "charset_normalizer") if name not in sys.modules]
        sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]
        try:
            with warnings.catch_warnings(), suppress(ImportError):
                warnings.simplefilter("ignore")
                import docker  # noqa: F401
        finally:
            for name in blocked:
                del sys.modules[name]


class Late:
    """Stands for an adapter that most commands do not use: it is imported and created at its first use."""

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._adapter: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._adapter is None:
            self._adapter = self._create()
        return getattr(self._adapter, name)
