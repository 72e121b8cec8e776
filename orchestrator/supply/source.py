"""What a release is made from: the folder as it is, or a clean checkout of a commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from orchestrator.config import Config, printable
from orchestrator.domain.version.version import GitState
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services

T = TypeVar("T")
_SHOWN = 5


@dataclass(frozen=True)
class Source:
    """`config` is what is recorded; `building` has the same with the sources' place for now, until `done` is called.

    `commit` is what a clean checkout is of.
    """

    config: Config
    building: Config
    commit: str | None = None
    notes: tuple[str, ...] = ()
    done: Callable[[], None] = lambda: None


@contextmanager
def opened(services: Services, config: Config, ref: str | None) -> Iterator[Source]:
    """The folder as it is; or with `ref`, a commit of it.

    Raises:
        UsageError: there is no such commit, or what it has cannot be released.
        DeploymentFailed: Git cannot give it.
    """
    if ref is None:
        yield Source(config, config)
        return
    commit = services.artifacts.resolve(config, ref)
    services.reporter.step(f"check out commit {commit[:10]}" + ("" if commit.startswith(ref) else f" ({ref})"))
    with ExitStack() as stack:
        own, building = stack.enter_context(interruptible(services, services.artifacts.at(config, commit)))
        if own is None:
            note = f"commit {commit[:10]} has no {Path(config.source).name}: the present one is used"
            yield Source(config, building, commit, (note,), stack.close)
            return
        if own.app.name != config.app.name:
            raise UsageError(
                f"commit {commit[:10]} is of another app: its app.name is {own.app.name!r}",
                why=f"here it is {config.app.name!r}",
                hint="release a commit of this app",
            )
        # How it is watched and who is told is no part of a version.
        recorded = own.model_copy(update={"watchdog": config.watchdog, "notify": config.notify})
        yield Source(recorded, building, commit, (), stack.close)


@contextmanager
def interruptible(services: Services, entered: AbstractContextManager[T]) -> Iterator[T]:
    """Enters what takes its time and changes nothing: Ctrl-C ends it at once."""
    with ExitStack() as stack:
        with services.interrupts.interruptible():
            found = stack.enter_context(entered)
        yield found


def git_state(services: Services, source: Source) -> GitState:
    """What Git says of a source.

    Raises:
        UsageError: `git.require_clean` asks for a commit that has it all, and there is none.
    """
    config = source.config
    if source.commit is not None:
        return GitState(source.commit, False, services.artifacts.user(config.base))
    state = services.artifacts.git(config)
    if config.git.require_clean:
        _refuse_changes(state)
    return state


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
