"""Loading modules when they are first needed, because importing them takes long."""

from __future__ import annotations

import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_LOADING = threading.Lock()
# Modules of libraries that compile large expressions when they are loaded. Most of these are never used here: addresses
# of IPv6, dates in cookies, names of hosts in other scripts.
_COMPILING = frozenset(("urllib3.util.url", "http.cookiejar", "idna.core"))


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
            with warnings.catch_warnings(), suppress(ImportError), _compiled_late():
                warnings.simplefilter("ignore")
                import docker  # noqa: F401
        finally:
            for name in blocked:
                del sys.modules[name]


@contextmanager
def _compiled_late() -> Iterator[None]:
    """The modules of `_COMPILING` that are loaded in this context compile their expressions at their first use."""
    compiled = re.compile

    def late(pattern: Any, flags: int = 0) -> Any:
        module = sys._getframe(1).f_globals.get("__name__")
        return _LatePattern(pattern, flags) if module in _COMPILING else compiled(pattern, flags)

    re.compile = late
    try:
        yield
    finally:
        re.compile = compiled


class _LatePattern:
    """Stands for a compiled expression: it is compiled when its first method is called."""

    def __init__(self, pattern: Any, flags: int) -> None:
        self._arguments = pattern, flags

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(*self._arguments), name)
        self.__dict__[name] = value
        return value


class Late:
    """Stands for an adapter that most commands do not use: it is imported and created at its first use."""

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._adapter: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._adapter is None:
            self._adapter = self._create()
        return getattr(self._adapter, name)
