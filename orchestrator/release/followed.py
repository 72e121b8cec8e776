"""Reports what new containers print while a deployment waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import DeployctlError
from orchestrator.release.work import Work


@contextmanager
def followed(work: Work, containers: Sequence[Container]) -> Iterator[None]:
    """Reports each line that the containers print, with secrets masked, if the deployment's `logs` is set."""
    stop = threading.Event()
    for container in containers if work.logs else ():
        # Daemons: a stream ends only with the next line, or with the container.
        threading.Thread(target=_follow, args=(work, container, stop), daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def _follow(work: Work, container: Container, stop: threading.Event) -> None:
    services = work.services
    try:
        for line in services.access.logs(container, tail=None, follow=True):
            if stop.is_set():
                return
            services.reporter.log(f"{container.name}: {services.secrets.mask(work.app, line)}")
    except DeployctlError:
        return  # the deployment itself reports an engine that does not answer, or a container that is gone
