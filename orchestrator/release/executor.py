"""Runs plans: journal, act, journal. It decides nothing; what it does when a step fails is a plan as well."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain.rollout.plan import Step, undo
from orchestrator.domain.rollout.recovery import recover
from orchestrator.errors import (
    Degraded,
    DeployctlError,
    DeploymentFailed,
    EngineUnreachable,
    Interrupted,
    OperationFailed,
)
from orchestrator.ports.services import Services
from orchestrator.release.actions import Actions


class Executor:
    """Carries one deployment to its end, forwards or back."""

    def __init__(self, services: Services, actions: Actions) -> None:
        self.s = services
        self.actions = actions

    def forward(self, steps: Sequence[Step]) -> None:
        """Runs the steps; when one fails before the switch is done, undoes them all.

        Raises:
            DeployctlError: what made it fail, after everything was undone.
            Degraded: it failed after the switch, or the undo failed too: the journal is left open.
        """
        for step in steps:
            try:
                self.s.interrupts.check()
                self._run(step, undo=False)
            except Exception as error:
                known = error
                if not isinstance(known, DeployctlError):
                    known = DeploymentFailed(f"{step.name} failed", why=repr(error))
                if self._decided(known):
                    # A bug of ours is shown as one; the journal stays open all the same.
                    if known is not error:
                        raise
                    raise self._unfinished(known) from error
                self._back(known)
                raise
        if self.s.interrupts.pending:
            raise self.s.interrupts.error(
                f"{self.actions.plan.to_version} is live; waiting was cut short, nothing was undone"
            )

    def repeat(self, steps: Sequence[Step], *, undo: bool) -> None:
        """Runs the steps of a recovery; a failure leaves the journal open for the next one."""
        self.s.interrupts.disarm()
        for step in steps:
            self._run(step, undo=undo)

    def _decided(self, error: DeployctlError) -> bool:
        """True beyond the point of no return, by the very rule that recovery goes by.

        Raises:
            Degraded: journal or route cannot be read now, so nothing may be decided; the journal stays open.
        """
        plan = self.actions.plan
        try:
            journal = self.s.ledger.steps(self.actions.deployment.id)
            route = self.s.proxy.route(plan.app)
        except DeployctlError as second:
            raise Degraded(
                f"{error.message}; and what has become of it cannot be read",
                why=str(second),
                hint="deployctl recover finishes it or takes it back",
                details=error.details,
            ) from error
        return recover(plan, journal, route).direction == "finish"

    def _back(self, error: DeployctlError) -> None:
        self.s.interrupts.disarm()
        deployment = self.actions.deployment
        self.actions.outcome = "undone" if isinstance(error, Interrupted) else "failed"
        self.actions.reason = str(error)
        self.s.reporter.step("taking it back")
        try:
            self.repeat(undo(self.actions.plan, self.s.ledger.steps(deployment.id)), undo=True)
        except DeployctlError as second:
            if isinstance(second, EngineUnreachable) and self.s.proxy.route(self.actions.app) != deployment.to_slot:
                raise DeploymentFailed(
                    f"{error.message}; what was begun is taken back by the next command",
                    why=str(second) if str(second) != str(error) else error.why,
                    hint="what served before still serves; when the engine answers again: deployctl recover",
                    details=error.details,
                ) from error
            raise Degraded(
                f"{error.message}; and taking it back failed too",
                why=str(second),
                hint="deployctl recover carries on with it",
                details=error.details,
            ) from error

    def _unfinished(self, error: DeployctlError) -> Degraded:
        return Degraded(
            f"{self.actions.plan.to_version} is live, but the rest could not be done",
            why=str(error),
            hint="deployctl recover finishes it",
        )

    def _run(self, step: Step, *, undo: bool) -> None:
        if step.name != "settle":
            self.s.reporter.step(step.words())
        record = self.s.ledger.step_started(self.actions.deployment.id, step.name, step.args, undo=undo)
        self.s.boundary("before", step.name)
        started = self.s.clock()
        try:
            detail = self.actions.run(step)
        except DeployctlError as error:
            failure = {"error": str(error)}
            if step.name in ("start", "probe") and not undo:
                failure["log"] = self._logs()
            self.s.ledger.step_finished(record, "failed", failure, self.s.clock() - started)
            raise
        self.s.boundary("acted", step.name)
        self.s.ledger.step_finished(record, "done", detail, self.s.clock() - started)
        self.s.boundary("after", step.name)

    def _logs(self) -> str:
        try:
            return self.actions.keep_logs()
        except OperationFailed as error:
            return f"(could not be read: {error})"
