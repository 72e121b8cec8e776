"""Requests that were held while no version ran, and got 503 because it took too long. The proxy counts them."""

from __future__ import annotations

from orchestrator.errors import ProxyError
from orchestrator.release.work import Detail, Work
from orchestrator.text import counted

BEFORE = "unanswered_before"
"""What the step that began to hold requests has recorded: the counts of the proxy's workers at that moment."""


def unanswered(work: Work) -> dict[str, int]:
    """The counts of the proxy's workers, by worker; empty when they cannot be read: they are for people only."""
    try:
        return work.services.endpoints.unanswered(work.app)
    except ProxyError as error:
        work.services.reporter.detail(f"the proxy's counters cannot be read: {error}")
        return {}


def unanswered_since(work: Work) -> Detail:
    """How many requests got 503 since the deployment began to hold them, also reported; empty: it did not hold any.

    What a worker of the proxy has counted that has ended since then is lost.
    """
    held = (step.detail for step in work.services.ledger.steps(work.deployment.id) if BEFORE in step.detail)
    before = next(held, None)
    if before is None:
        return {}
    count = sum(max(0, now - before[BEFORE].get(worker, 0)) for worker, now in unanswered(work).items())
    if count:
        verb = "was" if count == 1 else "were"
        work.services.reporter.note(f"{counted(count, 'request')} {verb} answered with 503 after {_limit(work):g} s")
    return {"unanswered": count}


def _limit(work: Work) -> float:
    """The longest that a request was held, in seconds."""
    return max((step.leads_to.held for step in work.plan.steps if step.leads_to is not None), default=0.0)
