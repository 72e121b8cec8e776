"""The commands that change what is live."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.frame import Frame, frame
from orchestrator.errors import Degraded, UsageError

if TYPE_CHECKING:
    from orchestrator.config import Config
    from orchestrator.ports.services import Services
    from orchestrator.release.release import Result

_CHANGES = 10
_Ref = Annotated[
    str | None,
    typer.Option("--ref", help="Build from a clean checkout of this tag, branch or commit, not from the folder."),
]


def plan(
    context: typer.Context,
    action: Annotated[str, typer.Argument(help="release or rollback")] = "release",
    version: Annotated[str | None, typer.Argument(help="v1, v2 …; the next one if not said")] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="End with 10 when something would change.")
    ] = False,
    ref: _Ref = None,
) -> None:
    """Say what a release or a rollback would do; change nothing.

    Examples: deployctl plan release v2; deployctl plan rollback
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.domain.rollout.plan import plan_rollback
        from orchestrator.release.release import prepare
        from orchestrator.release.rollback import target
        from orchestrator.reports.status import estimate
        from orchestrator.supply.source import opened

        if action not in ("release", "rollback"):
            raise UsageError(f"{action!r} cannot be planned", hint="deployctl plan release v2, or plan rollback")
        if action == "rollback" and ref is not None:
            raise UsageError("a rollback takes no --ref", hint="deployctl plan rollback v1")
        config = own.config()
        services = own.services()
        observed = services.observe(config.app.name)
        seconds = None
        if action == "release":
            with opened(services, config, ref) as source:
                prepared = prepare(services, config, version, observed, source=source)
            made, nothing = prepared.plan, prepared.choice.action == "nothing"
        else:
            back = target(observed, version)
            replicas = services.ledger.settings(config.app.name, back.version)["run"]["replicas"]
            made, nothing = plan_rollback(observed, back, replicas=replicas), False
            seconds = estimate(services, config.app.name, back)
        steps = () if nothing else made.steps
        if own.json:
            console.data(
                {
                    "schema_version": 1,
                    "app": made.app,
                    "kind": made.kind,
                    "from": made.from_version,
                    "to": made.to_version,
                    "from_slot": made.from_slot,
                    "to_slot": made.to_slot,
                    "mode": made.mode,
                    "changes": not nothing,
                    "estimate_seconds": seconds,
                    "steps": [{"name": step.name, "args": step.args, "words": step.words()} for step in steps],
                    "notes": list(made.notes),
                }
            )
        else:
            if nothing:
                console.print(f"nothing to do: {made.to_version} is live")
            else:
                console.print(f"{made.kind} of {made.app}: {made.from_version or 'nothing'} → {made.to_version}")
            for number, step in enumerate(steps, 1):
                console.print(f"{number:3}. {step.words()}")
            for note in made.notes:
                console.note(note)
        if detailed_exitcode and not nothing:
            raise typer.Exit(_CHANGES)


def release(
    context: typer.Context,
    version: Annotated[str | None, typer.Argument(help="v1, v2 …; the next one if not said")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the previous version's warm time is up, and stop it.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Leave the bake to the watchdog.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also a version that went bad before.")] = False,
    ref: _Ref = None,
) -> None:
    """Build a version and make it live, without losing a request.

    When it fails, the old version still serves and the exit code is 3. With rollout.bake it stays and watches the
    new version; when that goes bad, traffic goes back at once, and the exit code is 3 as well.

    Examples: deployctl release v2; deployctl release v2 --ref v1.4.0; deployctl release --detach --json
    """
    own = frame(context)
    with own.guarded():
        from orchestrator.release.release import release as run

        config = own.config()
        services = own.services(changing=True)
        result = run(services, config, version, force=force, ref=ref)
        config = result.config or config
        bake = _bake(own, services, config, result, detach=detach)
        _report(own, config.app.name, result, bake)
        _tell(services, config, result)
        if wait and result.deployment is not None:
            _wait(own, services, config.app.name)


def rollback(
    context: typer.Context,
    to: Annotated[str | None, typer.Option("--to", help="The version to go back to; else the last stable one.")] = None,
) -> None:
    """Bring the previous stable version back and stop the one that serves now.

    Examples: deployctl rollback; deployctl rollback --to v1
    """
    own = frame(context)
    with own.guarded():
        from orchestrator.release.rollback import rollback as run

        config = own.config()
        services = own.services(changing=True)
        result = run(services, config, to)
        _report(own, config.app.name, result)
        _tell(services, config, result)


def recover(
    context: typer.Context,
    rebuild_ledger: Annotated[
        bool, typer.Option("--rebuild-ledger", help="Put a lost ledger together from the containers, all apps'.")
    ] = False,
) -> None:
    """Finish or undo an interrupted deployment, and mend what has drifted.

    Every changing command does this first. Doing it twice changes nothing more.

    Example: deployctl recover --json
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.release.recover import recover as run

        config = own.config()
        services = own.services(changing=True)
        rebuilt: list[str] = []
        if rebuild_ledger:
            from orchestrator.release.rebuild import rebuild_ledger as rebuild

            rebuilt = rebuild(services)
            console.note(f"the ledger was put together from the containers of {', '.join(rebuilt)}")
        with services.locks.app(config.app.name):
            found = run(services, config.app.name)
        if own.json:
            console.data(
                {
                    "schema_version": 1,
                    "app": config.app.name,
                    "deployment": found.deployment,
                    "direction": found.direction,
                    "mended": found.mended,
                    "failed": found.failed,
                    "rebuilt": rebuilt,
                }
            )
        elif found.deployment is not None:
            done = "finished" if found.direction == "finish" else "undone"
            console.done(f"deployment {found.deployment} {done}")
        elif not found.mended and not found.failed and not rebuilt:
            console.done("nothing to recover")
        if found.failed:
            raise Degraded(
                f"{config.app.name}: not all could be mended",
                why="; ".join(found.failed),
                hint="deployctl rollback, or release a version anew",
            )


def prune(
    context: typer.Context,
    keep: Annotated[int | None, typer.Option("--keep", min=1, help="Instead of retention.versions.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove the versions that retention does not keep; never the live one or the way back.

    Example: deployctl prune --keep 2 --dry-run
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.release.recover import recover as bring_to_rest
        from orchestrator.release.retention import prune as run

        config = own.config()
        services = own.services(changing=not dry_run)
        with services.locks.app(config.app.name):
            if not dry_run:
                bring_to_rest(services, config.app.name)
            done = run(services, config.app.name, keep or config.retention.versions, dry_run=dry_run)
        if own.json:
            body: dict[str, Any] = {"versions": done.versions, "containers": done.containers, "images": done.images}
            body["freed_bytes"] = done.freed
            console.data({"schema_version": 1, "app": config.app.name, "dry_run": dry_run, **body})
        else:
            names = [*done.containers, *done.images]
            verb = "would be removed" if dry_run else "removed"
            console.print(f"{verb}: {', '.join(names)}" if names else "nothing to remove")


def _bake(own: Frame, services: Services, config: Config, result: Result, *, detach: bool) -> dict[str, Any] | None:
    """Stays with the new version while it bakes; what came of it, or None when it does not bake."""
    if result.deployment is None or not config.rollout.bake:
        return None
    live = services.live(config.app.name)
    if live is None or not live.baking:
        return None
    if detach:
        return {"outcome": "baking", "until": live.bake_until}
    from orchestrator.watch.bake import Progress, stay

    own.console.step(f"watch {live.version} until {live.bake_until}")
    said = [0.0]

    def report(progress: Progress) -> None:
        # A terminal rewrites its line; a log gets one every ten seconds.
        if sys.stderr.isatty() or progress.elapsed >= said[0]:
            said[0] = progress.elapsed + 10
            own.console.detail(str(progress))

    baked = stay(services, config, report)
    if baked is None:
        return None
    if baked.outcome == "replaced":
        own.console.note(baked.why)
    return {"outcome": baked.outcome, "until": live.bake_until, "seconds": round(baked.seconds, 3)}


def _report(own: Frame, app: str, result: Result, bake: dict[str, Any] | None = None) -> None:
    if own.json:
        body: dict[str, Any] = {
            "schema_version": 1,
            "app": app,
            "outcome": "succeeded" if result.deployment else "nothing to do",
            "version": result.version,
            "previous": result.previous,
            "deployment": result.deployment.id if result.deployment else None,
            "kind": result.deployment.kind if result.deployment else None,
            "seconds": round(result.seconds, 3),
            "bake": bake,
            "notes": list(result.notes),
        }
        own.console.data(body)
    elif result.deployment is None:
        own.console.done(f"nothing to do: {result.version} is live")
    else:
        instead = f" instead of {result.previous}" if result.previous else ""
        ends = {"stable": "is stable", "baking": "is live and bakes", "replaced": "was live"}
        state = ends.get((bake or {}).get("outcome", ""), "is live")
        own.console.done(f"{app} {result.version} {state}{instead}, after {result.seconds:.1f} s")


def _tell(services: Services, config: Config, result: Result) -> None:
    # The app's lock is free again and the result is out: whom it concerns may take their time.
    from orchestrator.watch.notices import deployed

    deployed(services, config, result)


def _wait(own: Frame, services: Services, app: str) -> None:
    from datetime import datetime

    from orchestrator.release.recover import recover as bring_to_rest

    warm = next((slot for slot in services.ledger.slots(app).values() if slot.state == "warm"), None)
    if warm is None or warm.warm_until is None:
        return
    own.console.step(f"{warm.version} stays warm until {warm.warm_until}")
    with services.interrupts.interruptible():
        left = (datetime.fromisoformat(warm.warm_until) - services.wall()).total_seconds()
        if left > 0:
            services.sleep(left + 0.01)
    with services.locks.app(app):
        bring_to_rest(services, app)


def register(app: typer.Typer) -> None:
    """Adds this room's commands."""
    for command in (plan, release, rollback, recover, prune):
        app.command()(command)
