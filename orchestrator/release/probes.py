"""How to probe containers that were ready before: at the path where they answered then."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.domain.health.probe import UNKNOWN_PATH, ProbeSpec
from orchestrator.domain.traffic.slot import Slot
from orchestrator.ports.services import Services


def probe_of(services: Services, app: str, slot: Slot, version: str, config: Config) -> ProbeSpec:
    """How to probe the replicas of a version in a slot. `config` is the version's configuration.

    Where the version may answer at several paths, it is the one that the proxy asks.
    """
    spec = config.probe_spec()
    if not spec.otherwise:
        return spec
    known = services.ledger.proxy_app(app)
    endpoints = known.slots.get(slot) if known is not None else None
    recorded = endpoints is not None and endpoints.version == version and endpoints.probe.path in spec.paths
    return spec.at(endpoints.probe.path) if endpoints is not None and recorded else spec.at(spec.path)


def settled(services: Services, spec: ProbeSpec, address: str) -> ProbeSpec:
    """The probe at the path that the server at an address has; the first one when it has none, or does not answer."""
    for path in spec.paths if spec.otherwise else ():
        if services.prober.probe(address, spec.at(path)).status not in UNKNOWN_PATH:
            return spec.at(path)
    return spec.at(spec.path)
