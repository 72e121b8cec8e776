"""A pass of the watchdog over one app: recover, look, decide, act.

First it recovers the app, as every changing command does: it finishes or undoes an interrupted deployment, repairs the
proxy, and stops a warm version whose `rollout.keep_warm` time is over. Then it looks at the live containers;
the domain decides.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.config import Config, load
from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.domain.watch.decision import Decision, decide
from orchestrator.domain.watch.memory import Memory
from orchestrator.domain.watch.passes import Pass
from orchestrator.domain.watch.schedule_texts import missing_variables
from orchestrator.errors import DeployctlError, Interrupted, LedgerDamaged, Locked, UsageError
from orchestrator.ports.services import Services
from orchestrator.release.observe import observe
from orchestrator.release.recover import recover
from orchestrator.watch import acts, look, probing
from orchestrator.watch.acts import Event
from orchestrator.watch.canary import look_at
from orchestrator.watch.passed import Passed, record_events


def run(services: Services, app: str) -> Passed:
    """Runs one pass. Problems of the app are part of the result, they are not raised.

    Raises:
        Interrupted: a signal came before the switch of a rollback, which was undone.
        LedgerDamaged: nothing can be decided or recorded.
        UsageError: the ledger has no record of the app, or was written by another release of deployctl.
    """
    if app not in services.ledger.apps():
        raise UsageError(f"{app} has no release in this state folder", hint="deployctl release")
    started = services.clock()
    passed = Passed(app)
    try:
        with services.locks.app(app, looking=True):
            _pass(services, app, passed)
            passed.seconds = services.clock() - started
            if app in services.ledger.apps():  # else the pass has finished its removal
                _record(services, passed)
    except Locked:
        # Another command is running; the next pass looks at the app again.
        passed.outcome = "skipped"
        services.ledger.count(app, "skipped")
    return passed


def app_of(services: Services, file: Path) -> str:
    """The app of a deploy.toml: the one that was released from this file, else the one that the file names.

    The ledger is asked first, because an invalid file must not stop the watchdog.

    Raises:
        UsageError: nothing was released from this file, and it cannot be read.
    """
    where = file.absolute()
    for app in services.ledger.apps():
        live = services.live(app)
        if live is not None:
            stored = services.ledger.settings(app, live.version)
            if Path(stored.get("base", "")) / Path(stored.get("source", "")).name == where:
                return app
    return load(file).app.name


def watched(app: str, stored: Config) -> Config:
    """A stored configuration with the current [watchdog], [judge] and [notify] settings of its file.

    The probe is part of the version; how it is watched and judged, and who is notified, is not. If the file cannot be
    read, the settings of the release are used.
    """
    try:
        file = load(Path(stored.base) / Path(stored.source).name)
    except UsageError:
        return stored
    if file.app.name != app:
        return stored
    return stored.model_copy(update={"watchdog": file.watchdog, "judge": file.judge, "notify": file.notify})


def take_look(
    services: Services,
    config: Config,
    observed: Observed,
    live: SlotState,
    passed: Passed,
    *,
    through_proxy: bool,
) -> None:
    """Looks at an app at rest, decides, and acts. The caller holds the app's lock.

    `passed.memory` is what the last look has remembered; it is replaced by what this one remembers.
    """
    memory = Memory.from_json(passed.memory.get("watch", {}), live.deployment)
    view = look.take(services, config, observed, live, through_proxy=through_proxy)
    passed.view = view
    decision = decide(view.look, memory, look.rules(config))
    passed.problems += [f"{text}; next: {_next_command(view, text)}" for text in decision.problems]
    passed.waiting += decision.waiting
    passed.unhealthy = bool(decision.unhealthy)
    passed.memory["watch"] = decision.memory.to_json()
    # Before the acts: a rollback removes the containers, and a repair starts the engine's count again.
    passed.seen += acts.what_ended(services, view, decision.ended, memory.at or view.look.since)
    if decision.acts:
        # Recorded first, so that a repair counts as an attempt even if the pass is killed.
        services.ledger.remember(observed.app, passed.memory)
    for act in decision.acts:
        if act.kind == "repair":
            passed.add(acts.repair(services, view, act.index, act.why))
        elif act.kind == "promote":
            acts.promote(services, config)
            passed.done.append(f"{live.version} is stable: its bake is over ({act.why})")
        else:
            passed.add(acts.roll_back(services, config, observed, view, act.why))
    repaired = [act.index for act in decision.acts if act.kind == "repair"]
    if repaired:
        _check_repaired(services, config, live, repaired, decision, passed)


def _check_repaired(
    services: Services, config: Config, live: SlotState, repaired: list[int], decision: Decision, passed: Passed
) -> None:
    """Waits briefly for repaired containers: a pass over an app is good only when all of them answer again."""
    containers = [
        container
        for container in services.workloads.containers(live.app)
        if (container.version, container.slot) == (live.version, live.slot) and container.index in repaired
    ]
    ready = probing.ready_soon(services, config, [each for each in containers if each.running])
    late = [container.name for container in containers if container not in ready]
    if late or len(containers) < len(repaired):
        passed.unhealthy = True
    passed.waiting += [f"{name} does not answer yet" for name in late]
    started = {container.index: container.started_at for container in ready}
    memory = replace(decision.memory, ready={**decision.memory.ready, **started})
    passed.memory["watch"] = memory.to_json()


def _pass(services: Services, app: str, passed: Passed) -> None:
    remembered = services.ledger.memory(app)
    passed.memory = dict(remembered)
    live = services.live(app)
    if live is not None:
        _set_version(services, passed, live)
    try:
        recovered = recover(services, app, healing=False)
        passed.done += recovered.repaired
        if recovered.deployment is not None:
            how = "finished" if recovered.direction == "finish" else "undone"
            passed.done.append(f"the interrupted deployment {recovered.deployment} was {how}")
        observed = recovered.observed or observe(services, app)
        if observed.live is not None:
            if passed.config is None or passed.version != observed.live.version:
                _set_version(services, passed, observed.live)  # an interrupted deployment has been finished
            assert passed.config is not None
            take_look(services, passed.config, observed, observed.live, passed, through_proxy=True)
            rollout = services.ledger.open_rollout(app)
            if rollout is not None and passed.previous is None:
                look_at(services, passed.config, observed, rollout, passed)
    except (LedgerDamaged, Locked, Interrupted):
        raise
    except DeployctlError as error:
        passed.problems.append(f"{error}" + (f"; next: {error.hint}" if error.hint else ""))
        passed.outcome = "failed"
    missing = missing_variables(services.host.environ)
    if passed.problems and missing:
        passed.problems.append(
            f"not available in this pass: {', '.join(missing)}, set when the schedule was installed; if a problem is"
            " due to that, put their values into a configuration file, and install the schedule again"
        )
    _conclude(passed, remembered.get("problems", []))
    if passed.config is not None:
        record_events(services, passed)


def _set_version(services: Services, passed: Passed, live: SlotState) -> None:
    stored = Config.from_snapshot(services.ledger.settings(passed.app, live.version))
    passed.config = watched(passed.app, stored)
    passed.version = live.version


def _next_command(view: look.View, problem: str) -> str:
    """The next command for a problem that the watchdog cannot solve."""
    if problem == view.look.unreachable:
        return "deployctl doctor"
    if " is not ready: " in problem:
        return f"check what it depends on (deployctl logs {view.look.version})"
    fix = f"deployctl logs {view.look.version}, then release a fixed version"
    return f"deployctl rollback, or {fix}" if view.back else fix


def _conclude(passed: Passed, known: list[str]) -> None:
    """Sets the outcome, the new messages and the events, and remembers the problems; `known` are earlier ones."""
    before = [_subject(text) for text in known]
    new_problems = [text for text in passed.problems if _subject(text) not in before]
    well = not passed.problems and not passed.unhealthy
    if passed.outcome != "failed":
        passed.outcome = "degraded" if not well else "acted" if passed.done else "healthy"
    # A problem that persists is reported once, with everything that happens because of it.
    news = passed.seen if well or not before else []
    passed.new_messages = [*news, *passed.done, *new_problems]
    passed.events += [Event("healed", text) for text in news]
    passed.events += [Event("degraded", text) for text in new_problems]
    passed.memory["problems"] = list(passed.problems)
    if passed.unhealthy:
        # A pass that waits for its next attempt does not mention the problem: it is still known.
        now = [_subject(text) for text in passed.problems]
        passed.memory["problems"] += [text for text in known if _subject(text) not in now]
    if before and well:
        recovered = f"{passed.app} has recovered"
        passed.new_messages.append(recovered)
        passed.events.append(Event("recovered", recovered))


def _subject(text: str) -> str:
    """The beginning of a problem, without its reason, which may differ at each look."""
    return text.partition(": ")[0]


def _record(services: Services, passed: Passed) -> None:
    assert passed.outcome != "skipped", "a skipped pass does not hold the lock and is only counted"
    messages = (*passed.seen, *passed.done, *passed.problems, *passed.waiting)
    row = Pass(iso(services.wall()), passed.seconds, passed.outcome, messages)
    counts = {f"pass:{passed.outcome}": 1, **{name: n for name, n in passed.counts.items() if n}}
    services.ledger.record_pass(passed.app, row, passed.memory, counts)
