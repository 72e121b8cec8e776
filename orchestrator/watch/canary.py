"""Looks at a rollout: the judge's evidence, whether the candidate is running, and what follows.

The attached `release` looks every second, and the watchdog at each pass, both with `look_at`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.config import Config
from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.progress import Move, next_move
from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.domain.traffic.judge import Assessment, Limits, Stage, Verdict, assess, routing_fault
from orchestrator.errors import DeployctlError, DeploymentFailed, Interrupted, LedgerDamaged, Locked
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.abort import take_back
from orchestrator.release.evidence import counted, judge_limits, next_part, part_is_over, without_an_answer
from orchestrator.release.logs import lines_of
from orchestrator.release.promote import advance
from orchestrator.release.recover import at_rest
from orchestrator.release.steps.probe import probed_restarts
from orchestrator.watch.acts import ACTOR, Event
from orchestrator.watch.follow_up import notify
from orchestrator.watch.passed import LOOK_EVERY, Passed, record_events


@frozen
class Looked:
    """One look at a rollout: what was counted, the judge's assessment, and the move that was made."""

    rollout: Rollout
    stages: tuple[Stage, ...]
    assessment: Assessment
    move: Move

    def __str__(self) -> str:
        rollout = self.rollout
        requests = sum(stage.candidate.requests for stage in self.stages)
        seen = self.assessment.why if requests else f"{rollout.version} got no request yet"
        return f"{rollout.version} gets {rollout.share / 100:g} %: {seen}; {self.move.why}"


def look_at(services: Services, config: Config, observed: Observed, rollout: Rollout, passed: Passed) -> Looked | None:
    """Looks at a rollout once, and does what follows; None when it is only previewed.

    The caller holds the app's lock and has recovered the app. `config` has the present [judge].
    """
    if rollout.preview:
        return None
    judge = judge_limits(config)
    stages = counted(services, rollout, judge)
    assessment = assess(stages, judge)
    here = stages[rollout.evidence.before :]
    # What a smaller share has proven does not end this stage.
    good = assessment.verdict == "good" and assess(here, judge).verdict == "good"
    verdict: Verdict = "good" if good else "bad" if assessment.verdict == "bad" else "inconclusive"
    now = services.wall().timestamp()
    dead = _dead(services, observed, rollout)
    requests = sum(each.candidate.requests for each in here)
    failures = sum(each.candidate.failures for each in here)
    unanswered = without_an_answer(services, rollout.app, rollout.slot, requests, failures)
    move = next_move(rollout.progress, verdict, dead or None, requests, now, config.judge.idle, unanswered)
    looked = Looked(rollout, stages, assessment, move)
    if move.since is not None:
        rollout = replace(rollout, stage_since=iso(services.wall()))
        services.ledger.set_rollout(rollout)
    if move.kind == "abort":
        why = dead or assessment.why
        take_back(services, config, observed, rollout, actor=ACTOR, why=why, bad=True)
        text = f"{rollout.version} was aborted at {rollout.share / 100:g} %: {why}"
        passed.done.append(text)
        title = f"{rollout.version} was aborted; {rollout.old} has all requests"
        passed.events.append(Event("rolled back", text, title))
    elif move.kind in ("advance", "finish"):
        advance(services, config, observed, rollout, actor=ACTOR, reason=move.why)
        share = "all requests" if move.kind == "finish" else f"{_next_share(rollout):g} % of the requests"
        passed.done.append(f"{rollout.version} gets {share}: {move.why}")
        if move.kind == "finish":
            passed.events.append(Event("released", passed.done[-1], f"{rollout.version} is live"))
    else:
        passed.waiting.append(str(looked))
        _report_wrong_share(config, rollout, stages, judge, passed)
        _cut_parts(services, rollout, now, judge)
    return looked


def _next_share(rollout: Rollout) -> float:
    return rollout.parsed[rollout.stage + 1].share / 100


def _report_wrong_share(
    config: Config, rollout: Rollout, stages: tuple[Stage, ...], judge: Limits, passed: Passed
) -> None:
    """Reports a candidate that gets another share of the requests than it should: the proxy or its rules are wrong.

    Sessions that stay on a version make the shares differ.
    """
    fault = routing_fault(stages, judge) if config.proxy.sticky == "none" else None
    if fault is not None:
        counted = fault.hits / (fault.hits + fault.misses)
        passed.problems.append(
            f"{rollout.version} got {counted:.1%} of the requests, which is not its share; next: deployctl verify"
        )


def _cut_parts(services: Services, rollout: Rollout, now: float, judge: Limits) -> None:
    reading = services.endpoints.counters(rollout.app)
    if part_is_over(rollout, reading, now):
        evidence = next_part(rollout, reading, now, judge.latency_ratio)
        services.ledger.set_rollout(replace(rollout, evidence=evidence))


def _dead(services: Services, observed: Observed, rollout: Rollout) -> str:
    """Why the candidate is no longer running; empty while it is."""
    containers = observed.of(rollout.version, rollout.slot)
    if not containers:
        return "its containers were removed"
    known = probed_restarts(services, rollout.deployment)
    for container in containers:
        if not container.running:
            return f"{container.name} is {container.state} (exit code {container.exit_code})"
        ended = container.restarts - known.get(container.id, container.restarts)
        if ended > 0:
            # The engine does not say how one that runs again has exited.
            return f"{container.name} exited {'once' if ended == 1 else f'{ended} times'}, and the engine restarted it"
    return ""


def follow_rollout(services: Services, config: Config, report: Callable[[str], None]) -> None:
    """Looks at the rollout every second until the candidate is live. Returns at once without one, or for a preview.

    Raises:
        DeploymentFailed: it was aborted, by the judge or by a person.
        Interrupted: a signal ended the wait; the rollout goes on.
        LedgerDamaged: nothing can be decided or recorded.
    """
    app = config.app.name
    rollout = services.ledger.open_rollout(app)
    if rollout is None or rollout.preview:
        return
    while True:
        passed = Passed(app)
        try:
            with services.locks.app(app, looking=True):
                observed = at_rest(services, app, healing=False)
                now = services.ledger.open_rollout(app)
                if now is not None and now.id == rollout.id:
                    looked = look_at(services, config, observed, now, passed)
                    if looked is not None:
                        report(str(looked))
                    record_events(services, passed)
        except Locked:
            report("another command is running")
        except (Interrupted, LedgerDamaged):
            raise
        except DeployctlError as error:
            report(str(error))  # the engine may be restarting: the next look tries again
        for text in passed.done:
            services.reporter.note(text)
        # What is live now is told by the command itself, at its end.
        passed.events = [event for event in passed.events if event.notice != "released"]
        notify(services, config, passed)
        ended = services.ledger.rollout(rollout.id)
        if ended is None or ended.outcome == "aborted":
            why = ended.why if ended is not None else ""
            version = services.ledger.versions(app).get(rollout.version)
            bad = version is not None and version.bad_at is not None
            raise DeploymentFailed(
                f"{rollout.version} was aborted; {rollout.old} has all requests",
                why=why,
                hint=f"'deployctl history' has the evidence; its log: deployctl logs {rollout.version}",
                details=lines_of(services, config, rollout.version) if bad else "",
            )
        if ended.outcome == "promoted":
            return
        if services.interrupts.pending:
            left = services.interrupts.error(f"the rollout of {rollout.version} goes on")
            left.hint = (
                "each stage waits for 'deployctl promote'"
                if rollout.approve
                else "the watchdog advances it (deployctl watchdog install, or deployctl watchdog run)"
            )
            raise left
        services.sleep(LOOK_EVERY)
