"""`deployctl release --together`: several apps go live atomically."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.cli.announcing import announce
from orchestrator.cli.context import Context
from orchestrator.cli.deployed import bake_report, ended_as, say
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services
from orchestrator.release.preparation import PreparedRelease
from orchestrator.release.together import release_together
from orchestrator.reports.release import TogetherReport
from orchestrator.watch.notices import notify_deployed
from orchestrator.watch.together import watch_together


def refuse(cli: Context, given: Sequence[str], *, together: bool) -> None:
    """Checks that the options fit to a release of several apps; `given` are those that do not.

    Raises:
        UsageError: they do not.
    """
    if not together:
        raise UsageError(
            f"--file was given {len(cli.files)} times",
            why="release works with one app, unless several go live together",
            hint="give one file, or add --together",
        )
    if len(cli.files) < 2:
        raise UsageError("--together needs at least two files", hint="deployctl release -f a.toml -f b.toml --together")
    if given:
        raise UsageError(
            f"{given[0]} cannot be used with --together",
            why="it applies to a single app only",
            hint=f"leave it out, or release each app by itself: deployctl -f {cli.files[0]} release",
        )


def release(cli: Context, *, detach: bool, force: bool, logs: bool) -> None:
    """Releases the next version of each app, and watches all of them."""
    configs = [load(file) for file in cli.files]
    own = services(cli, changing=True)
    results = release_together(
        own,
        configs,
        force=force,
        logs=logs,
        announce=lambda named, prepared: _announce(cli, named, prepared),
    )
    bakes = watch_together(own, results, cli.console.update, detach=detach)
    apps = [config.app.name for config in configs]
    for app, bake in bakes.items():
        if bake.why:
            cli.console.note(f"{app}: {bake.why}")
    ended = [ended_as(app, result, bake_report(bakes.get(app))) for app, result in zip(apps, results, strict=True)]
    if cli.json:
        cli.console.report(TogetherReport(tuple(ended), max(each.seconds for each in ended)))
    else:
        for each in ended:
            if each.deployment is None:
                cli.console.done(f"nothing to do for {each.app}: {each.version} is live")
            else:
                say(cli, each)
    # After the locks are released and the result is printed: notifications may be slow.
    for config, result in zip(configs, results, strict=True):
        notify_deployed(own, config, result)


def _announce(cli: Context, own: Services, prepared: PreparedRelease) -> None:
    cli.console.say(f"{prepared.plan.app}:")
    announce(cli, own, prepared)
