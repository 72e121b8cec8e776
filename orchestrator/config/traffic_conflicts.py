"""Values of [proxy] and [rollout] that are valid alone and conflict with each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.config.run_conflicts import Known
from orchestrator.domain.traffic.routing import conflicting
from orchestrator.errors import Finding

if TYPE_CHECKING:
    from orchestrator.config.config import Config


def traffic_conflicts(config: Config, known: Known) -> Iterator[Finding]:
    """The conflicts in [proxy] and [rollout]. Values that are not known are not checked."""
    yield from _addresses(config, known)
    yield from _canary(config, known)


def _addresses(config: Config, known: Known) -> Iterator[Finding]:
    proxy = config.proxy
    for key, others in (("metrics", ("listen",)), ("preview", ("listen", "metrics"))):
        address = getattr(proxy, key)
        for other in others:
            taken = getattr(proxy, other)
            if known(f"proxy.{key}", f"proxy.{other}") and address and taken and conflicting(address, taken):
                yield Finding(f"proxy.{key}", f"{address} is taken by proxy.{other} ({taken})", "choose another port")
                break


def _canary(config: Config, known: Known) -> Iterator[Finding]:
    # A bad value of another key than the strategy has been replaced by its default, which conflicts with no strategy.
    rollout = config.rollout
    if not known("rollout.strategy"):
        return
    if rollout.strategy == "canary":
        if not rollout.stages:
            hint = "remove it to use the default, or choose another strategy"
            yield Finding("rollout.stages", 'must not be empty with strategy = "canary"', hint)
        return
    hint = 'remove it, or set rollout.strategy = "canary"'
    for key in ("stages", "approve"):
        if getattr(rollout, key):
            yield Finding(f"rollout.{key}", f'has no effect with strategy = "{rollout.strategy}"', hint)
