"""`deployctl release`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from orchestrator.cli import candidates, several
from orchestrator.cli.announcing import announce
from orchestrator.cli.context import Context, current
from orchestrator.cli.deployed import bake_report, moved
from orchestrator.cli.options import ImageOption, RefOption
from orchestrator.cli.program import new_app
from orchestrator.cli.render.diff import layers as layer_line
from orchestrator.cli.services import services
from orchestrator.config import Config, load
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services
from orchestrator.release.release import release as run_release
from orchestrator.release.result import Result
from orchestrator.reports.diff import layers
from orchestrator.watch.canary import follow_rollout
from orchestrator.watch.notices import notify_deployed
from orchestrator.watch.waiting import unwatched, wait_until_cold, watch_bake

app = new_app()


@app.command()
def release(
    ctx: typer.Context,
    version: Annotated[
        str | None,
        typer.Argument(help="Version, such as v2; default: the next one.", autocompletion=candidates.releasable),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait for the end of the rollout.keep_warm time, and stop the previous version."),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Leave the stages and the bake to the watchdog.")] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Stop before any traffic: the version answers at proxy.preview.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Release a version even if it is marked bad, is unchanged, or may not fit into memory."
        ),
    ] = False,
    ref: RefOption = None,
    image: ImageOption = None,
    logs: Annotated[
        bool, typer.Option("--logs", help="Print what the new containers log until they are ready.")
    ] = False,
    together: Annotated[
        bool, typer.Option("--together", help="Release several apps atomically, or none: give each file with -f.")
    ] = False,
) -> None:
    """Build a version and make it live.

    No request is lost. If the release fails, the old version still serves, and the exit code is 3. With rollout.bake,
    the command watches the new version; if it fails during the bake, it is rolled back at once, and the exit code is 3.

    With rollout.strategy = "canary", the version gets its shares of the requests one after the other, as long as the
    judge finds nothing bad. With --preview it gets none until 'deployctl promote'.

    With --image, the version is an image that was built elsewhere, by CI for example: it is pulled unless the engine
    has it, and pinned by its digest. No Dockerfile is needed.

    With --together, the next versions of several apps go live atomically: all are built, started and probed, then one
    change of the proxy moves all of them. If one of them fails, none goes live.

    Examples: deployctl release --logs; deployctl release --ref v1.4.0; deployctl release --image ci.example.com/m:1.4;
    deployctl release -f a.toml -f b.toml --together
    """
    cli = current(ctx)
    with cli.guarded():
        if together or len(cli.files) > 1:
            given = {"a version": version, "--preview": preview, "--ref": ref, "--image": image, "--wait": wait}
            several.refuse(cli, [name for name, value in given.items() if value], together=together)
            several.release(cli, detach=detach, force=force, logs=logs)
            return
        if wait and detach:
            raise UsageError("--wait and --detach cannot be used together", hint="leave one of them out")
        config = load(cli.file)
        own = services(cli, changing=True)
        result = run_release(
            own,
            config,
            version,
            force=force,
            ref=ref,
            image=image,
            logs=logs,
            preview=preview,
            announce=lambda new: announce(cli, own, new),
        )
        config = result.config or config
        _built(cli, own, config, result)
        bake = None
        if result.deployment is not None:
            if not detach:
                result = _followed(cli, own, config, result)
            if own.ledger.open_rollout(config.app.name) is None:
                bake = watch_bake(own, config, lambda progress: cli.console.update(str(progress)), detach=detach)
                if bake is not None and bake.why:
                    cli.console.note(bake.why)
            elif detach and not preview and (why := unwatched(own, config.app.name, stages=True)):
                cli.console.note(why)
        moved(cli, own, config.app.name, result, bake_report(bake))
        # After the lock is released and the result is printed: notifications may be slow.
        notify_deployed(own, config, result)
        if wait and result.deployment is not None:
            wait_until_cold(own, config.app.name)


def _followed(cli: Context, own: Services, config: Config, result: Result) -> Result:
    """The result of a release when its rollout has ended, if it has one: then it took longer."""
    started = own.clock()
    follow_rollout(own, config, cli.console.update)
    return replace(result, seconds=result.seconds + own.clock() - started)


def _built(cli: Context, own: Services, config: Config, result: Result) -> None:
    """Prints how much of the image is new: only the build shows that."""
    if result.deployment is None or result.previous in (None, result.version):
        return
    if image := layers(own, config.app.name, result.previous or "", result.version):
        cli.console.say(layer_line(image))
