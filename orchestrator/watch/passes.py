"""The watchdog's pass over one app: it looks, decides, acts, and ends.

First comes what every changing command does: an interrupted deployment is finished or undone, the proxy is mended,
a warm version whose time is up is stopped. Then the live containers are looked at, and `core.watch` decides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestrator.config import Config, load
from orchestrator.config.sections import under
from orchestrator.config.watchdog import Notice
from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.plan import Observed, WayBack
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.domain.watch.decision import Memory, decide
from orchestrator.domain.watch.passes import Pass
from orchestrator.errors import (
    DeployctlError,
    EngineUnreachable,
    Interrupted,
    LedgerDamaged,
    Locked,
    OperationFailed,
    UsageError,
)
from orchestrator.ports.services import Services
from orchestrator.release.recover import recover
from orchestrator.release.rollback import carry_out
from orchestrator.release.slots import set_spare
from orchestrator.supply.tagging import tag
from orchestrator.watch import look
from orchestrator.watch.notices import notice

Outcome = Literal["healthy", "acted", "degraded", "failed", "skipped"]
ACTOR = "watchdog"


@dataclass
class Passed:
    """How a pass ended. `done` and `problems` are sentences for people; `news` is what of it nobody knows yet.

    `events` are what notifications are about. `previous` is what served before a rollback of this pass; `config` is
    None when nothing is live.
    """

    app: str
    outcome: Outcome = "healthy"
    version: str | None = None
    previous: str | None = None
    done: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    news: list[str] = field(default_factory=list)
    events: list[tuple[Notice, str]] = field(default_factory=list)
    view: look.View | None = None
    seconds: float = 0.0
    memory: dict[str, Any] = field(default_factory=dict)
    config: Config | None = None
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        return self.outcome in ("healthy", "acted")


def run(services: Services, app: str) -> Passed:
    """One pass. Never raises for what is wrong with the app: that is what it tells.

    Raises:
        Interrupted: a signal came before a rollback had switched; it was undone.
        LedgerDamaged: nothing can be decided, or recorded.
        UsageError: the ledger does not know the app, or was written by a newer deployctl.
    """
    if app not in services.ledger.apps():
        raise UsageError(f"{app} was never released here: there is nothing to watch", hint="deployctl release")
    started = services.clock()
    passed = Passed(app)
    try:
        with services.locks.app(app, looking=True):
            _pass(services, app, passed)
            passed.seconds = services.clock() - started
            _record(services, passed)
    except Locked:
        # A command is at work; what it leaves is looked at by the next pass.
        passed.outcome = "skipped"
        services.ledger.count(app, "skipped")
    return passed


def aftermath(services: Services, passed: Passed) -> None:
    """What follows a pass, without the lock: people are told, and whoever waits for a sign of life gets it.

    Nothing that goes wrong here is raised: it is noted.
    """
    config = passed.config
    if config is None:
        return
    tell(services, config, passed)
    if passed.good and config.watchdog.heartbeat:
        silence = services.notifier.beat(config.watchdog.heartbeat, config.notify.timeout)
        if silence:
            services.reporter.note(f"the heartbeat of {passed.app} was not taken: {silence}")
            services.ledger.event(passed.app, "heartbeat-failed", {"why": silence})

    if config.watchdog.textfile:
        from orchestrator.reports.metrics import write_textfile  # only here: most passes write none

        try:
            write_textfile(services, passed.app, under(config.base, config.watchdog.textfile))
        except DeployctlError as error:
            services.reporter.note(f"the metrics of {passed.app} could not be written: {error}")
            services.ledger.event(passed.app, "textfile-failed", {"why": str(error)})


def tell(services: Services, config: Config, passed: Passed) -> None:
    """Notifications about what a look has changed or found."""
    for what, text in passed.events:
        notice(services, config, what, passed.version or "", text, previous=passed.previous)


def app_of(services: Services, file: Path) -> str:
    """The app that a deploy.toml is about: as the ledger has it, else as the file says.

    The ledger first, because a file that is being edited must not end the watch.

    Raises:
        UsageError: nobody has released from this file, and it cannot be read.
    """
    where = file.absolute()
    for app in services.ledger.apps():
        live = services.live(app)
        if live is not None:
            stored = services.ledger.settings(app, live.version)
            if Path(stored.get("base", "")) / Path(stored.get("source", "")).name == where:
                return app
    return load(file).app.name


def watched(services: Services, app: str, own: Config) -> Config:
    """A stored configuration with the file's present rules for watching.

    What a version ran with says how to probe it; how it is watched, and who is told, stands in the file. A file that
    is being edited, or is gone, does not end the watch: then the rules are those of the release.
    """
    try:
        file = load(Path(own.base) / Path(own.source).name)
    except UsageError:
        return own
    if file.app.name != app:
        return own
    return own.model_copy(update={"watchdog": file.watchdog, "notify": file.notify})


def _pass(services: Services, app: str, passed: Passed) -> None:
    remembered = services.ledger.memory(app)
    passed.memory = dict(remembered)
    live = services.live(app)
    if live is not None:
        passed.version = live.version
        own = Config.from_snapshot(services.ledger.settings(app, live.version))
        passed.config = watched(services, app, own)
    try:
        found = recover(services, app, healing=False)
        passed.done += found.mended
        if found.deployment is not None:
            way = "finished" if found.direction == "finish" else "undone"
            passed.done.append(f"the interrupted deployment {found.deployment} was {way}")
        _watch(services, found.observed or services.observe(app), passed)
    except (LedgerDamaged, Locked, Interrupted):
        raise
    except DeployctlError as error:
        passed.problems.append(f"{error}" + (f"; next: {error.hint}" if error.hint else ""))
        passed.outcome = "failed"
    _conclude(passed, remembered.get("problems", []))
    passed.memory["problems"] = passed.problems


def _watch(services: Services, observed: Observed, passed: Passed) -> None:
    live = observed.live
    if live is None:
        return
    if passed.config is None or passed.version != live.version:  # an interrupted deployment has been finished
        own = Config.from_snapshot(services.ledger.settings(observed.app, live.version))
        passed.config = watched(services, observed.app, own)
        passed.version = live.version
    step(services, passed.config, observed, live, passed, through_proxy=True)


def step(
    services: Services,
    config: Config,
    observed: Observed,
    live: SlotState,
    passed: Passed,
    *,
    through_proxy: bool,
) -> None:
    """One look at an app at rest, one decision, and its acts. The caller holds the app's lock.

    `passed.memory` is what the last look left, and what this one leaves.
    """
    memory = Memory.from_json(passed.memory.get("watch", {}), live.deployment)
    view = look.take(services, config, observed, live, through_proxy=through_proxy)
    passed.view = view
    decision = decide(view.look, memory, look.rules(config))
    passed.problems += [f"{text}; next: {_next(view, text)}" for text in decision.problems]
    passed.waiting += decision.waiting
    passed.memory["watch"] = decision.memory.to_json()
    if decision.acts:
        # First the record: one that is killed while it mends has tried, too.
        services.ledger.remember(observed.app, passed.memory)
    for act in decision.acts:
        if act.kind == "mend":
            _mend(services, view, act.index, act.why, passed)
        elif act.kind == "promote":
            promote(services, config)
            passed.done.append(f"{live.version} is stable: its bake is over ({act.why})")
        else:
            _roll_back(services, config, observed, view, act.why, passed)


def _next(view: look.View, problem: str) -> str:
    """What a person may do about a problem that the watchdog leaves to them."""
    if problem == view.look.unreachable:
        return "deployctl doctor"
    mend = f"deployctl logs {view.look.version}, and release it mended"
    return f"deployctl rollback, or {mend}" if view.back else mend


def promote(services: Services, config: Config) -> None:
    """Ends the bake: the version is stable, and the proxy needs no spare slot any more."""
    app = config.app.name
    with services.locks.proxy():
        set_spare(services, app, None)
    live = services.live(app)
    if live is not None:
        # First the tag: whoever is killed between them promotes again, and finds it written.
        tag(services, config, live.version, iso(services.wall()))
    services.ledger.promote(app)


def _mend(services: Services, view: look.View, index: int, why: str, passed: Passed) -> None:
    healer = view.healer
    name = healer.name(index)
    try:
        done = healer.mend(index) if healer.ailment(index) else [healer.restart(index)]
    except EngineUnreachable:
        raise
    except OperationFailed as error:
        passed.problems.append(f"{name}: {why}, and it could not be mended: {error}")
        return
    if view.look.replicas and done:
        box = healer.there.get(index)
        killed = services.engine.oom_kills(box, view.look.now - 3600) if box is not None and box.exit_code == 137 else 0
        memory = f"; out of memory {killed} time(s) in the last hour" if killed else ""
        text = f"{', '.join(done)}: {why}{memory}"
        passed.done.append(text)
        passed.events.append(("healed", text))
        passed.counts["healed"] += 1


def _roll_back(
    services: Services, config: Config, observed: Observed, view: look.View, why: str, passed: Passed
) -> None:
    assert view.back is not None, "decide() has seen it"
    passed.counts["auto-rollback"] += 1
    evidence = {"why": why, "traffic": str(view.new), "before": str(view.old) if view.old else None}
    services.ledger.event(observed.app, "auto-rollback", evidence)
    try:
        carry_out(services, config, observed, view.back, actor=ACTOR, kind="auto-rollback", reason=why)
    except Interrupted:
        # Before the switch all was undone, and the next pass does it. After it only a wait was cut short.
        if not _serves(services, observed.app, view.back):
            raise
    except DeployctlError as error:
        passed.problems.append(f"{why}; and going back to {view.back.version} failed: {error}; next: {error.hint}")
        return
    text = f"{view.look.version} rolled back to {view.back.version}: {why}"
    passed.version, passed.previous = view.back.version, view.look.version
    passed.done.append(text)
    passed.events.append(("rolled back", text))


def _serves(services: Services, app: str, back: WayBack) -> bool:
    found = services.ledger.slots(app).get(back.slot)
    return found is not None and found.state == "live" and found.version == back.version


def _conclude(passed: Passed, known: list[str]) -> None:
    """Says how the pass ended, and what of it is new since the one before."""
    before = [_gist(text) for text in known]
    fresh = [text for text in passed.problems if _gist(text) not in before]
    if passed.problems and passed.outcome != "failed":
        passed.outcome = "degraded"
    elif not passed.problems:
        passed.outcome = "acted" if passed.done else "healthy"
    passed.news = [*passed.done, *fresh]
    passed.events += [("degraded", text) for text in fresh]
    if before and not passed.problems:
        passed.news.append(f"{passed.app} is well again")
        passed.events.append(("recovered", f"{passed.app} is well again"))


def _gist(text: str) -> str:
    """What a problem is about. Its reason follows, and may be another one at each look: that is no news."""
    return text.partition(": ")[0]


def _record(services: Services, passed: Passed) -> None:
    assert passed.outcome != "skipped", "that one has no lock, and is only counted"
    said = (*passed.done, *passed.problems, *passed.waiting)
    row = Pass(iso(services.wall()), passed.seconds, passed.outcome, said)
    counts = {f"pass:{passed.outcome}": 1, **{name: n for name, n in passed.counts.items() if n}}
    services.ledger.record_pass(passed.app, row, passed.memory, counts)
