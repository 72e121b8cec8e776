"""The steps of deployments: one file each, with the step's description and its action.

A new step is a new file, a line in `STEPS`, and a line in a plan (`release/plans.py`).
"""

from __future__ import annotations

from orchestrator.domain.rollout.deployment import PlanRecord
from orchestrator.domain.rollout.plan import Plan
from orchestrator.release.steps.adopt import Adopt
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.build import Build
from orchestrator.release.steps.create import Create
from orchestrator.release.steps.drain import Drain
from orchestrator.release.steps.drilled import Drilled
from orchestrator.release.steps.halt import Halt
from orchestrator.release.steps.hold import Hold
from orchestrator.release.steps.inspect import Inspect
from orchestrator.release.steps.keep import Keep
from orchestrator.release.steps.preview import Preview
from orchestrator.release.steps.probe import Probe
from orchestrator.release.steps.pull import Pull
from orchestrator.release.steps.push import Push
from orchestrator.release.steps.rebuild import Rebuild
from orchestrator.release.steps.register import Register
from orchestrator.release.steps.remove import Remove
from orchestrator.release.steps.reroute import Reroute
from orchestrator.release.steps.retire import Retire
from orchestrator.release.steps.revive import Revive
from orchestrator.release.steps.settle import Settle
from orchestrator.release.steps.shift import Shift
from orchestrator.release.steps.start import Start
from orchestrator.release.steps.stop import Stop
from orchestrator.release.steps.switch import Switch
from orchestrator.release.steps.unhold import Unhold
from orchestrator.release.steps.unpreview import Unpreview
from orchestrator.release.steps.unregister import Unregister
from orchestrator.release.steps.unshare import Unshare
from orchestrator.release.steps.unshield import Unshield
from orchestrator.release.steps.unswitch import Unswitch
from orchestrator.release.steps.untag import Untag
from orchestrator.release.steps.vacate import Vacate
from orchestrator.release.steps.withdraw import Withdraw

__all__ = [
    "STEPS",
    "Action",
    "Adopt",
    "Build",
    "Create",
    "Drain",
    "Drilled",
    "Halt",
    "Hold",
    "Inspect",
    "Keep",
    "Preview",
    "Probe",
    "Pull",
    "Push",
    "Rebuild",
    "Register",
    "Remove",
    "Reroute",
    "Retire",
    "Revive",
    "Settle",
    "Shift",
    "Start",
    "Stop",
    "Switch",
    "Unhold",
    "Unpreview",
    "Unregister",
    "Unshare",
    "Unshield",
    "Unswitch",
    "Untag",
    "Vacate",
    "Withdraw",
    "restored",
]

STEPS: dict[str, type[Action]] = {
    step.name: step
    for step in (
        Build,
        Adopt,
        Rebuild,
        Push,
        Pull,
        Unshield,
        Vacate,
        Create,
        Hold,
        Halt,
        Start,
        Register,
        Probe,
        Keep,
        Inspect,
        Preview,
        Drilled,
        Shift,
        Switch,
        Unshare,
        Reroute,
        Drain,
        Retire,
        Settle,
        Unswitch,
        Revive,
        Unhold,
        Unpreview,
        Unregister,
        Withdraw,
        Remove,
        Stop,
        Untag,
    )
}


def restored(record: PlanRecord) -> Plan:
    """The plan that the ledger has stored."""
    return Plan(
        kind=record.kind,
        app=record.app,
        from_version=record.from_version,
        to_version=record.to_version,
        from_slot=record.from_slot,
        to_slot=record.to_slot,
        mode=record.mode,
        before=record.before,
        steps=tuple(STEPS[name](**args) for name, args in record.steps),
    )
