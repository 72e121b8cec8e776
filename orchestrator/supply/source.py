"""The source of a release: the folder as it is, or a checkout of a commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from orchestrator.config import Config, printable
from orchestrator.domain.version.version import GitState, Version
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen
from orchestrator.supply.image import FoundImage, ImagePorts, find_image, recorded_image

if TYPE_CHECKING:
    from orchestrator.ports.interrupts import Interrupts
    from orchestrator.ports.progress import Reporter
    from orchestrator.ports.source_control import SourceControl

T = TypeVar("T")
_SHOWN = 5


class Interruptible(Protocol):
    """The port that interrupts long work at a signal."""

    @property
    def interrupts(self) -> Interrupts:
        """Interrupts waits at Ctrl-C."""


class SourcePorts(Interruptible, ImagePorts, Protocol):
    """The ports that opening a source needs."""

    @property
    def source_control(self) -> SourceControl:
        """Checks out commits."""

    @property
    def reporter(self) -> Reporter:
        """Reports progress."""


@frozen
class Source:
    """The configuration that is recorded, and `building`, the configuration with the folder to build from.

    With a `commit` that folder is a checkout, which `done` removes. With an `image` nothing is built.
    """

    config: Config
    building: Config
    commit: str | None = None
    notes: tuple[str, ...] = ()
    done: Callable[[], None] = lambda: None
    image: FoundImage | None = None


@contextmanager
def opened(
    ports: SourcePorts, config: Config, ref: str | None, image: str | None = None, *, again: Version | None = None
) -> Iterator[Source]:
    """Opens the source: the folder as it is, with `ref` a checkout of that commit, or with `image` an image.

    `again` is the version if it is recorded. When it was live and was made of an image, its source is that image.

    Raises:
        UsageError: there is no such commit or image, or it cannot be released.
        GitError: the commit cannot be checked out.
        RegistryError: the registry refuses to tell about the image, or does not answer.
    """
    if ref is not None and image is not None:
        raise UsageError(
            "--image cannot be used with --ref", why="an image is not built from a commit", hint="use one of them"
        )
    if image is not None:
        yield Source(config, config, image=find_image(ports, config.app.name, image))
        return
    if ref is None and again is not None and again.live_at is not None and again.from_image is not None:
        yield Source(config, config, image=recorded_image(again))
        return
    if ref is None:
        yield Source(config, config)
        return
    commit = ports.source_control.resolve(config, ref)
    ports.reporter.step(f"check out commit {commit[:10]}" + ("" if commit.startswith(ref) else f" ({ref})"))
    with ExitStack() as stack:
        own, building = stack.enter_context(interruptible(ports, ports.source_control.at(config, commit)))
        if own is None:
            note = f"commit {commit[:10]} has no {Path(config.source).name}: the current one is used"
            yield Source(config, building, commit, (note,), stack.close)
            return
        if own.app.name != config.app.name:
            raise UsageError(
                f"commit {commit[:10]} belongs to another app: its app.name is {own.app.name!r}",
                why=f"the current one is {config.app.name!r}",
                hint="release a commit of this app",
            )
        # How a version is watched and judged, and who is notified, is not part of it.
        today = {"watchdog": config.watchdog, "judge": config.judge, "notify": config.notify}
        recorded = own.model_copy(update=today)
        yield Source(recorded, building, commit, (), stack.close)


@contextmanager
def interruptible(ports: Interruptible, entered: AbstractContextManager[T]) -> Iterator[T]:
    """Enters a context, which may take long; a signal interrupts entering it at once."""
    with ExitStack() as stack:
        with ports.interrupts.interruptible():
            value = stack.enter_context(entered)
        yield value


def git_state(ports: SourcePorts, source: Source) -> GitState:
    """The state of a source in Git.

    Raises:
        UsageError: `git.require_clean` is set, and the source differs from its commit or has none.
    """
    config = source.config
    if source.commit is not None:
        return GitState(source.commit, False, ports.source_control.user(config.base))
    state = ports.source_control.state(config)
    if config.git.require_clean:
        _refuse_changes(state)
    # An image that was not built here is of no commit, as far as this folder knows.
    return state if source.image is None else GitState(user=state.user)


def _refuse_changes(state: GitState) -> None:
    if state.commit is None:
        raise UsageError(
            "git.require_clean: there is no commit to release",
            why=state.missing,
            hint=state.hint or "commit it, or set require_clean = false under [git]",
        )
    if state.dirty:
        count, shown = len(state.changed), state.changed[:_SHOWN]
        more = [f"… and {count - _SHOWN} more"] if count > _SHOWN else []
        raise UsageError(
            f"git.require_clean: {count} path{'s differ' if count != 1 else ' differs'} from commit"
            f" {state.commit[:10]}",
            hint="commit it, or release what is committed: deployctl release --ref HEAD",
            details="\n".join(f"  {text}" for text in [*map(printable, shown), *more]),
        )
