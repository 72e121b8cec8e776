"""Healing: brings the live version's containers back to what the ledger says, and nothing else."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.core.model import Container, SlotState
from orchestrator.core.plan import Observed
from orchestrator.deploy.services import Services
from orchestrator.deploy.settings import settings_digest
from orchestrator.errors import DeploymentFailed, EngineUnreachable


def heal(services: Services, observed: Observed) -> tuple[list[str], list[str]]:
    """What was mended, and what could not be, in words. Doing it twice changes nothing more.

    One container that cannot be mended stops neither the others nor the command that asked: a rollback may be
    just what helps.

    Raises:
        EngineUnreachable: nothing can be mended now.
    """
    live = observed.live
    if live is None:
        return [], []
    mended: list[str] = []
    failed: list[str] = []
    with services.locks.proxy():  # two apps that make the network at once would make two
        subnet = services.engine.ensure_network()
    for container in observed.of(live.version, live.slot):
        try:
            mended += _mend(services, observed, live, container, subnet)
        except EngineUnreachable:
            raise
        except DeploymentFailed as error:
            failed.append(f"{container.name}: {error}")
    try:
        mended += _replace_missing(services, observed, live, subnet)
    except EngineUnreachable:
        raise
    except DeploymentFailed as error:
        failed.append(str(error))
    return mended, failed


def _mend(services: Services, observed: Observed, live: SlotState, container: Container, subnet: str) -> list[str]:
    done = []
    # The proxy asks at this address, and nowhere else.
    address = services.addresses(observed.app, live.slot, container.index, subnet)[-1]
    if container.address != address:
        services.engine.connect(container, address)
        done.append(f"{container.name} connected to the network again")
    if container.state == "paused":
        services.engine.unpause(container)
        done.append(f"{container.name} woken up")
    elif container.state in ("exited", "created", "dead"):
        services.engine.set_restart(container, "always")
        services.engine.start(container)
        done.append(f"{container.name} started again")
    elif container.restart_policy != "always":
        services.engine.set_restart(container, "always")
        done.append(f"{container.name} will be started again by the engine")
    return done


def _replace_missing(services: Services, observed: Observed, live: SlotState, subnet: str) -> list[str]:
    config = Config.from_snapshot(services.ledger.settings(observed.app, live.version))
    there = {container.index for container in observed.of(live.version, live.slot)}
    missing = [index for index in range(1, config.run.replicas + 1) if index not in there]
    if not missing:
        return []
    addresses = services.addresses(observed.app, live.slot, config.run.replicas, subnet)
    done = []
    for index in missing:
        container = services.engine.create(
            config,
            observed.versions[live.version],
            live.slot,
            index,
            deployment=live.deployment,
            address=addresses[index - 1],
            settings=settings_digest(config),
        )
        services.engine.set_restart(container, "always")
        services.engine.start(container)
        done.append(f"{container.name} made again")
    return done
