"""Copies of the values of run.secrets and run.secret_env, one for the containers of each deployment.

A copy is a folder, `secrets/APP/VERSION/DEPLOYMENT`, that containers mount as /run/secrets. Every user of a container
can read it; other users of the host cannot, because only the owner can read the folders above it. Each deployment has
its own copy: a release of the same version with a new password must not change the value that the live containers read
when they restart.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config import Config
from orchestrator.config.secrets import (
    ENVIRONMENT,
    environment_file,
    exposed_secrets,
    key_of,
    read_secrets,
    sources,
    unavailable,
)
from orchestrator.domain import masking
from orchestrator.errors import StorageError, UsageError
from orchestrator.files import TEMPORARY, read_regular, remove_whole, sync_folder, write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.ports.secrets import Order


class SecretStore:
    """Reads secrets and keeps copies of them below `folder`. See `Secrets`."""

    def __init__(self, folder: Path) -> None:
        self._root = folder

    def check(
        self, config: Config, version: str | None = None, *, building: Config | None = None, built: bool = True
    ) -> None:
        order: Order = ("source",) if version is None else ("source", "copy")
        missing = self._resolve(config, version or "", 0, order)[1]
        if missing:
            raise unavailable({key_of(name): why for name, why in missing.items()})
        if version is not None:
            return
        if exposed := exposed_secrets(building or config, existing=building is not None, built=built):
            why = "; ".join(f"{finding.path}: {finding.message}" for finding in exposed)
            raise UsageError(
                f"a secret file is part of the {'build' if built else 'version'}", why=why, hint=exposed[0].hint
            )

    def changed(self, config: Config, version: str, deployment: int) -> bool:
        if not sources(config):
            return False
        return read_secrets(config)[0] != self._content(self.folder(config.app.name, version, deployment))

    def store(self, config: Config, version: str, deployment: int, *, order: Order) -> None:
        if not sources(config):
            return
        values, missing = self._resolve(config, version, deployment, order)
        if missing:
            raise unavailable({key_of(name): why for name, why in missing.items()})
        target = self.folder(config.app.name, version, deployment)
        files = dict(values)
        if (environment := environment_file(values)) is not None:
            files[ENVIRONMENT] = environment
        if self._files(target) == files:
            return
        staging = target.with_name(f".{deployment}{TEMPORARY}")
        try:
            self._write(target, staging, files)
        except OSError as error:
            shutil.rmtree(staging, ignore_errors=True)
            why = error.strerror or type(error).__name__
            raise StorageError(
                f"the secrets of {version} cannot be stored in the state folder",
                why=why,
                hint="check that the disk is not full",
            ) from None

    def kept(self, app: str) -> Mapping[str, tuple[int, ...]]:
        kept = {}
        for folder in _folders(self._root / app):
            copies = sorted(int(copy.name) for copy in _folders(folder) if copy.name.isdigit())
            if copies:
                kept[folder.name] = tuple(copies)
        return kept

    def drop(self, app: str, version: str, deployment: int) -> None:
        if remove_whole(self.folder(app, version, deployment)):
            self._sweep(app)

    def forget(self, app: str) -> None:
        remove_whole(self._root / app)
        self._sweep(app)

    def tidy(self, app: str) -> None:
        for folder in _folders(self._root / app):
            for path in folder.glob(f".*{TEMPORARY}"):
                shutil.rmtree(path, ignore_errors=True)
        self._sweep(app)

    def mask(self, app: str, text: str) -> str:
        folders = (self.folder(app, version, copy) for version, copies in self.kept(app).items() for copy in copies)
        values = {value for folder in folders for value in self._content(folder).values()}
        return masking.mask(text, values)

    def folder(self, app: str, version: str, deployment: int) -> Path:
        return self._root / app / version / str(deployment)

    def _resolve(
        self, config: Config, version: str, deployment: int, order: Order
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        """The value of each secret from the first place that has it, and why the others are not available."""
        current, whys = read_secrets(config)
        copies: dict[str, bytes] = {}
        if "copy" in order:
            others = self.kept(config.app.name).get(version, ())
            for known in (
                *others,
                deployment,
            ):  # the deployment's own copy has precedence, then the newest one
                copies |= self._content(self.folder(config.app.name, version, known))
        places = {"source": current, "copy": copies}
        values: dict[str, bytes] = {}
        missing = {}
        for name in sorted(sources(config)):
            value = next((places[place][name] for place in order if name in places[place]), None)
            if value is not None:
                values[name] = value
            else:
                no_copy = f", and no copy of it is kept with {version}" if "copy" in order else ""
                missing[name] = f"{whys[name]}{no_copy}"
        return values, missing

    def _content(self, copy: Path) -> dict[str, bytes]:
        """The values in a copy."""
        return {name: value for name, value in self._files(copy).items() if name != ENVIRONMENT}

    def _files(self, copy: Path) -> dict[str, bytes]:
        """The readable files of a copy."""
        files = {}
        with suppress(OSError):
            for path in sorted(copy.iterdir()):
                with suppress(OSError):
                    files[path.name] = read_regular(path)
        return files

    def _write(self, target: Path, staging: Path, files: dict[str, bytes]) -> None:
        version = target.parent
        for folder in (self._root, version.parent, version):
            if not folder.is_dir():
                folder.mkdir(0o700)
                sync_folder(folder.parent)
            folder.chmod(0o700)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(0o700)
        staging.chmod(0o755)
        for name in sorted(files):
            write_atomic(staging / name, files[name], 0o444)
        if not target.is_dir():
            staging.rename(target)
            sync_folder(version)
            return
        # Containers mount this folder: replace its files, not the folder.
        for name in sorted(files):
            (staging / name).replace(target / name)
        for path in list(target.iterdir()):
            if path.name not in files:
                path.unlink()
        sync_folder(target)
        staging.rmdir()

    def _sweep(self, app: str) -> None:
        for folder in (*_folders(self._root / app), self._root / app, self._root):
            with suppress(OSError):
                folder.rmdir()  # fails unless it is empty


def _folders(folder: Path) -> Iterable[Path]:
    try:
        return [path for path in sorted(folder.iterdir()) if path.is_dir()]
    except OSError:
        return []
