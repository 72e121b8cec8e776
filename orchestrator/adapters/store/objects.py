"""A content-addressed store of files: a read-only object per distinct file, and a folder of hard links per version.

    store/objects/ab/cdef…      a file's content, named by its SHA-256, with the suffix `.x` when it is executable
    store/manifests/cdef….json  a manifest, named by its digest
    models/APP/v2/…             a version's tree, mounted into its containers

The link count of an object is the number of trees that need it, plus one. A process that adds objects holds the lock of
the store in shared mode until a tree has links to them; a process that removes objects holds it in exclusive mode.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from orchestrator.adapters.store.digest import digest
from orchestrator.domain.version.manifest import MODEL, File, Manifest, identity, read
from orchestrator.errors import StorageError
from orchestrator.files import (
    FOREVER,
    TEMPORARY,
    create,
    lock,
    open_folder,
    read_regular,
    remove_whole,
    sync_folder,
    write_atomic,
)

_DIGEST = re.compile("[0-9a-f]{64}")
# The suffix of a tree that is being replaced.
_REPLACED = f".replaced{TEMPORARY}"
_SECOND = 10**9  # nanoseconds


class Objects:
    """The objects, manifests and trees of one state folder."""

    def __init__(self, store: Path, trees: Path) -> None:
        self._objects = store / "objects"
        self._manifests = store / "manifests"
        self._incoming = store / "incoming"
        self._lock = store / "lock"
        self._trees = trees
        self._held: int | None = None
        self._sound: set[Path] = set()  # objects that this process has written

    # Objects

    def place(self, digest: str, mode: str) -> Path:
        """The path of an object, which may not exist."""
        return self._objects / digest[:2] / (digest[2:] + (".x" if mode == "0755" else ""))

    def has(self, file: File) -> bool:
        """Whether the content of a file is stored, undamaged."""
        return _intact(self.place(file.digest, file.mode), file)

    def hold(self) -> None:
        """Prevents all processes from removing objects, until `release` or the end of this process."""
        if self._held is None:
            self._lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            lock(self._held, shared=True, wait=FOREVER)

    def release(self) -> None:
        """Ends `hold`."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def add(
        self, source: Path, mode: str, name: str, stopped: Callable[[], bool] = lambda: False
    ) -> tuple[str, os.stat_result, int]:
        """Copies a file into the store and digests it. `name` is a unique name for the temporary file.

        Returns what `digest` returns. The object is on the disk after `flush`.

        Raises:
            OSError: the file cannot be read, or the disk is full.
            UsageError: the file changes while it is read.
        """
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._incoming / f"{name}{TEMPORARY}"
        try:
            temporary.unlink(missing_ok=True)  # of a crash
            with os.fdopen(create(temporary), "wb", buffering=0) as copy:
                result = digest(source, copy, stopped)
                os.fchmod(copy.fileno(), 0o555 if mode == "0755" else 0o444)
                _stamp(copy.fileno(), result[0], int(time.time()))
            target = self.place(result[0], mode)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                os.link(temporary, target)
            except FileExistsError:
                # Keep the old object, because trees have links to it; unless it is damaged.
                if target not in self._sound and digest(target)[0] != result[0]:
                    temporary.replace(target)
            self._sound.add(target)
        finally:
            temporary.unlink(missing_ok=True)
        return result

    def flush(self) -> None:
        """Writes all added objects to the disk with one call, because fsync for each file is slow."""
        descriptor = open_folder(self._objects)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(self._objects))
        finally:
            os.close(descriptor)

    def all(self) -> Iterator[tuple[str, Path]]:
        """Every object: the digest in its name, and its path."""
        for path in sorted(self._objects.glob("*/*")):
            name = path.parent.name + path.name.removesuffix(".x")
            if _DIGEST.fullmatch(name):  # other files there do not belong to the store
                yield name, path

    def collect(self, unused: Callable[[], Collection[str]] | None = None) -> int:
        """Removes the objects that no tree needs, and the manifests that `unused` names; returns their size in bytes.

        Does nothing while objects are added. `unused` is called while none are.
        """
        self.release()
        if not (self._manifests if unused else self._objects).is_dir():
            return 0
        freed = 0
        with self._lock.open("a") as file:
            if not lock(file.fileno()):
                return 0  # another process adds objects: collect them the next time
            for _, path in self.all():
                status = path.lstat()
                if status.st_nlink == 1:
                    path.unlink()
                    freed += status.st_size
            for manifest in unused() if unused else ():
                with suppress(FileNotFoundError):
                    place = self.manifest_place(manifest)
                    freed += place.stat().st_size
                    place.unlink()
        return freed

    # Manifests

    def save(self, app: str, manifest: Manifest) -> None:
        """Stores a manifest under its digest.

        Raises:
            OSError: the disk is full, for example.
        """
        for folder in (self._manifests, self._incoming):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The temporary name contains the app: another app may store the same manifest at the same time.
        own = self._incoming / f"{app}.manifest{TEMPORARY}"
        write_atomic(own, manifest.text, mode=0o600)
        own.replace(self.manifest_place(manifest.digest))
        sync_folder(self._manifests)

    def load(self, digest: str) -> Manifest | None:
        """The manifest with this digest; None when it was never stored.

        Raises:
            StorageError: the manifest cannot be read, or was changed.
        """
        place = self.manifest_place(digest)
        try:
            text = read_regular(place).decode()
            if identity(text) == digest:
                return read(text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StorageError(f"the manifest {place} cannot be read", why=str(error)) from error
        raise StorageError(f"the manifest {place} was changed", why="its content does not match the digest in its name")

    def manifest_place(self, digest: str) -> Path:
        """The path of a manifest, which may not exist."""
        return self._manifests / f"{digest.removeprefix('sha256:')}.json"

    # Trees

    def tree(self, app: str, version: str) -> Path:
        """The path of a version's tree, which may not exist."""
        return self._trees / app / version

    def plant(self, app: str, version: str, files: dict[str, File]) -> None:
        """Creates or replaces the tree of a version. Ends `hold`.

        Raises:
            OSError: the disk is full, for example.
            StorageError: an object is missing.
        """
        target = self.tree(app, version)
        temporary = target.with_name(f".{version}{TEMPORARY}")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            for path, file in files.items():
                place = temporary / path
                place.parent.mkdir(parents=True, exist_ok=True)
                if file.kind == "folder":
                    place.mkdir()
                elif file.kind == "link":
                    place.symlink_to(file.target)
                else:
                    _link(self.place(file.digest, file.mode), place)
            for folder in (
                temporary,
                *(path for path in temporary.rglob("*") if path.is_dir() and not path.is_symlink()),
            ):
                folder.chmod(0o755)  # readable for every user of a container, independent of the umask
            self._make_later(app, files)
            # The old tree stays complete until the new one is renamed: see `tidy`.
            replaced = target.with_name(f".{version}{_REPLACED}")
            shutil.rmtree(replaced, ignore_errors=True)
            with suppress(FileNotFoundError):
                target.rename(replaced)
            temporary.rename(target)
            sync_folder(target.parent)
            shutil.rmtree(replaced, ignore_errors=True)
        except FileNotFoundError as error:
            raise StorageError(
                f"{error.filename} is missing in the store", hint="release again, which stores it again"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self.release()

    def _make_later(self, app: str, files: dict[str, File]) -> None:
        """Makes each file later than those with another content that other versions have at its path.

        HTTP clients that ask whether a file has changed since its time would otherwise keep the other content.
        """
        for tree in self._trees.joinpath(app).glob("[!.]*"):
            for path, file in files.items():
                if file.kind != "file":
                    continue
                place = self.place(file.digest, file.mode)
                with suppress(OSError):  # that version has no such file
                    other, own = (tree / path).stat(), place.stat()
                    if other.st_ino != own.st_ino and other.st_mtime_ns // _SECOND >= own.st_mtime_ns // _SECOND:
                        _stamp(place, file.digest, max(int(time.time()), other.st_mtime_ns // _SECOND + 1))

    def uproot(self, app: str, version: str) -> None:
        """Removes the tree of a version, if it exists."""
        remove_whole(self.tree(app, version))

    def tidy(self, app: str) -> None:
        """Removes temporary files and trees of a crash. Callers hold the lock of the app."""
        for name in (f"{app}.*{TEMPORARY}", f".{app}.*{TEMPORARY}"):  # app names contain no dots
            for path in self._incoming.glob(name):
                path.unlink(missing_ok=True)
        folder = self._trees / app
        for path in folder.glob(f".*{_REPLACED}"):
            target = folder / path.name[1:].removesuffix(_REPLACED)
            if not target.exists():
                path.rename(target)
        for path in folder.glob(f".*{TEMPORARY}"):
            shutil.rmtree(path, ignore_errors=True)

    def forget(self, app: str) -> None:
        """Removes all trees of an app. Callers hold the lock of the app."""
        remove_whole(self._trees / app)

    def whole(self, app: str, version: str, files: dict[str, File]) -> bool:
        """Whether a version's tree has all these files, undamaged."""
        root = self.tree(app, version)
        return root.is_dir() and all(_intact(root / path, file) for path, file in files.items())

    def faults(self, app: str, version: str, manifest: Manifest) -> list[str]:
        """The differences between a version's tree and its manifest, as sentences. Does not read objects."""
        root = self.tree(app, version)
        wanted = manifest.below(MODEL)
        faults = []
        for path, file in wanted.items():
            place = root / path
            try:
                if file.kind == "folder":
                    same = place.is_dir() and not place.is_symlink()
                elif file.kind == "link":
                    same = place.is_symlink() and str(place.readlink()) == file.target
                else:
                    same = not place.is_symlink() and self._same(place, file)
            except OSError as error:
                faults.append(f"{place}: {error.strerror}")
                continue
            if not same:
                faults.append(f"{place} is not what was released")
        present = {
            path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_symlink() or not path.is_dir()
        }
        return faults + [f"{root / path} is not part of the version" for path in sorted(present - wanted.keys())]

    def _same(self, place: Path, file: File) -> bool:
        with suppress(FileNotFoundError):
            if place.samefile(self.place(file.digest, file.mode)):
                return True
        return digest(place)[0] == file.digest


def _intact(place: Path, file: File) -> bool:
    """Whether a file or a symlink exists as it was stored. The content is read only when its time has changed."""
    try:
        status = place.lstat()
        if file.kind == "folder":
            return stat.S_ISDIR(status.st_mode)
        if status.st_size != file.size:
            return False
        if status.st_mtime_ns % _SECOND == _mark(file.digest) or file.kind == "link":
            return True
        if digest(place)[0] != file.digest:
            return False
    except OSError:
        return False  # it does not exist, or the disk has a read error
    # For example, it was restored from a backup. Reset its time, so that the next check need not read it.
    with suppress(OSError):
        _stamp(place, file.digest, int(time.time()))
    return True


def _mark(digest: str) -> int:
    """The fraction of a second in the time of an object, in nanoseconds; whole microseconds, which file systems keep.

    A write changes the time, so a change is detected without reading the file.
    """
    return int(digest[:8], 16) % 10**6 * 1000


def _stamp(place: Path | int, digest: str, seconds: int) -> None:
    """Sets the time of an object: when it was stored, because servers compare times to tell versions of a file."""
    moment = seconds * _SECOND + _mark(digest)
    os.utime(place, ns=(moment, moment))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        shutil.copy2(source, target)  # the limit of the file system: thousands of versions have links to it
