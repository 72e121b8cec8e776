"""What makes a release impossible, found before anything is read, built or changed."""

from __future__ import annotations

from contextlib import suppress

from orchestrator.config import Config, printable
from orchestrator.domain import naming
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.traffic.routing import refuse_conflicts
from orchestrator.errors import EngineUnreachable, UsageError
from orchestrator.ports.services import Services
from orchestrator.supply.source import Source


def refuse_second_candidate(services: Services, observed: Observed) -> None:
    """Checks that no rollout is in progress.

    Raises:
        UsageError: there is a candidate.
    """
    rollout = services.ledger.open_rollout(observed.app)
    if rollout is not None:
        raise UsageError(
            f"{rollout.version} is a candidate",
            why="an app has one rollout at a time",
            hint="let it end, or end it: deployctl promote --full, or deployctl abort",
        )


def refuse_preview(config: Config, observed: Observed) -> None:
    """Checks that a candidate can be shown at a preview address.

    Raises:
        UsageError: there is no such address, or no live version.
    """
    if not config.proxy.preview:
        raise UsageError(
            "proxy.preview is not set",
            why="a candidate without traffic answers at this address",
            hint='set it in deploy.toml: [proxy] preview = "127.0.0.1:8001"',
        )
    if observed.live is None:
        raise UsageError(
            "nothing is live yet",
            why="a preview needs a live version",
            hint="release the first version without --preview",
        )


def refuse_invalid(services: Services, source: Source, requested: str | None) -> None:
    """Checks the name of the version, and what its configuration needs: routes, files, secrets, networks, addresses.

    Raises:
        UsageError: something is wrong or missing.
        SecretUnavailable: a secret is not available.
    """
    config = source.config
    if requested is not None and not naming.is_version(requested):
        raise UsageError(f"invalid version {requested!r}", why="versions are v1, v2, v3 …", hint="deployctl release v2")
    route = config.route()
    refuse_conflicts(config.app.name, route, services.ledger.proxy_apps())
    # When the engine does not answer, a step fails, so that the failure is recorded.
    with suppress(EngineUnreachable):
        services.workloads.check()
    services.edge.check_listen(route)
    if source.image is None and not source.building.dockerfile_path.is_file():
        if source.building.dockerfile_path.exists():
            raise UsageError(
                f"build.dockerfile: {printable(config.dockerfile_path)} is not a regular file",
                hint="name the file itself: build.dockerfile is relative to build.context",
            )
        where = f"in commit {source.commit[:10]}" if source.commit else "on the disk"
        raise UsageError(
            f"build.dockerfile: there is no {printable(config.dockerfile_path)} {where}",
            hint="write a Dockerfile, set build.context and build.dockerfile, or release an image: --image NAME",
        )
    building = source.building if source.commit else None
    services.secrets.check(config, building=building, built=source.image is None)
    _refuse_missing_networks(services, config)
    _refuse_without_addresses(services, config)


def _refuse_without_addresses(services: Services, config: Config) -> None:
    # Removed apps keep their numbers.
    number = services.ledger.next_app_number(config.app.name)
    # When the engine does not answer, a step fails, so that the failure is recorded.
    with suppress(EngineUnreachable):
        services.workloads.check_network(config.network(), number)


def _refuse_missing_networks(services: Services, config: Config) -> None:
    missing: tuple[str, ...] = ()
    # When the engine does not answer, a step fails, so that the failure is recorded.
    with suppress(EngineUnreachable):
        missing = services.workloads.missing_networks(config.run.networks)
    if missing:
        raise UsageError(
            f"run.networks: the engine has no network {printable(missing[0])}",
            hint=f"create it: docker network create {printable(missing[0])}",
        )
