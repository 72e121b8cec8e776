"""The result of consecutive probes: whether enough good replies came in a row, and messages about it. Pure."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.health.cause import Cause
from orchestrator.domain.health.probe import UNKNOWN_PATH, ProbeSpec, Reply, judge
from orchestrator.errors import ProbeFailed
from orchestrator.frozen import frozen

# While connections are refused, probes cost the server nothing, and frequent ones detect a fast start early. A server
# that answers is busy loading the model, so it is probed at its interval. Seconds.
REFUSED_PAUSE = 0.05


@frozen
class Tally:
    """The probes of one target so far. `after` adds a reply; a bad reply resets `streak`, the good ones in a row.

    Where a version may answer at several paths, the next probe asks the next one after a reply that the path does not
    exist. `turn` is the number of the path that is asked next, and `asked` the path that gave the last reply.
    """

    spec: ProbeSpec
    probes: int = 0
    streak: int = 0
    longest: int = 0
    last: str = ""
    refused: bool = False
    kept_open: bool = False
    hopeless: bool = False
    reply: Reply | None = None
    turn: int = 0
    asked: str = ""

    @property
    def request(self) -> ProbeSpec:
        """The next probe."""
        return self.spec.at(self.spec.paths[self.turn])

    def after(self, reply: Reply) -> Tally:
        request = self.request
        judgement = judge(request, reply)
        streak = self.streak + 1 if judgement.ready else 0
        # From a path that comes second also after any other bad reply: the first one may exist by now.
        go_on = not judgement.ready and (reply.status in UNKNOWN_PATH or self.turn > 0)
        return replace(
            self,
            turn=(self.turn + 1) % len(self.spec.paths) if go_on else self.turn,
            asked=request.path,
            probes=self.probes + 1,
            streak=streak,
            longest=max(self.longest, streak),
            last=f"{request.path}: {judgement.reason}" if self.spec.otherwise and reply.status else judgement.reason,
            refused=reply.refused,
            kept_open=reply.kept_open,
            hopeless=judgement.hopeless,
            reply=reply,
        )

    @property
    def needed(self) -> int:
        return max(1, self.spec.successes)

    @property
    def ready(self) -> bool:
        return self.streak >= self.needed

    @property
    def settled(self) -> bool:
        """Whether more probes could not change the verdict."""
        return self.ready or self.hopeless

    @property
    def pause(self) -> float:
        """How long to wait before the next probe, in seconds."""
        return min(REFUSED_PAUSE, self.spec.interval) if self.refused else self.spec.interval

    def __str__(self) -> str:
        if not self.probes:
            return "no probe was answered"
        text = f"{self.probes} {_plural('probe', self.probes)}, last: {self.last}"
        if 0 < self.longest < self.needed:
            good = f"{self.longest} good {_plural('answer', self.longest)}"
            text += f"; {good} in a row of {self.needed} needed"
        return text


def progress_line(name: str, tally: Tally, elapsed: float, cause: Cause | None = None) -> str:
    """A progress message, such as `mymodel-v2-1: not ready after 12 s: connection refused`. `elapsed` is in seconds."""
    if tally.streak:
        good = f"{tally.streak} of {tally.needed} good {_plural('answer', tally.needed)} in a row"
        return f"{name}: {good} after {elapsed:.0f} s"
    line = f"{name}: not ready after {elapsed:.0f} s: {tally.last or 'no answer yet'}"
    return f"{line}; {cause.why}" if cause else line


def too_late(name: str, tally: Tally, cause: Cause | None = None) -> ProbeFailed:
    """The error for a target that is not ready at the deadline."""
    message = f"{name} did not become ready within {tally.spec.deadline:g} s"
    if cause is None:
        return ProbeFailed(message, why=str(tally), hint=_slow(tally))
    hint = f"{cause.hint}; if it only needs more time, increase health.deadline"
    return ProbeFailed(message, why=f"{cause.why} ({tally})", hint=hint)


def _slow(tally: Tally) -> str:
    if tally.refused:
        port = tally.spec.port
        return (
            f"check that the server listens on 0.0.0.0:{port} (app.port); if it starts slowly, increase health.deadline"
        )
    if tally.last.startswith(("no answer within", "the answer did not end within")):
        return f"its answers take longer than {tally.spec.timeout:g} s: increase health.timeout, or read its log"
    return "read the container's log; if the model starts slowly, increase health.deadline"


def caused(name: str, tally: Tally, cause: Cause) -> ProbeFailed:
    """The error for a target that will not become ready, for a cause that time does not remove."""
    return ProbeFailed(f"{name} will not become ready", why=f"{cause.why} ({tally})", hint=cause.hint)


def hopeless(name: str, tally: Tally) -> ProbeFailed:
    """The error for a target that says that it will never be ready."""
    return ProbeFailed(f"{name} will not become ready", why=str(tally))


def gone(name: str, sentence: str, tally: Tally) -> ProbeFailed:
    """The error for a container that has ended. `sentence` says how; the last reply is added to it."""
    return ProbeFailed(f"{name} did not become ready", why=f"{sentence} ({tally})" if tally.probes else sentence)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
