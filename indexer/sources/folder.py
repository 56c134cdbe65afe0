"""A watched folder: every catalogue or file of changes that is put there is a feed."""

import errno
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from indexer.sources.change_stream import Feed
from indexer.sources.files import Catalogue, open_catalogue
from mappings.errors import CatalogueError

DONE = "done"
FAILED = "failed"
UNFINISHED = (".tmp", ".part", ".partial")
"""Endings of names under which a file is still being written. So is one whose name begins with a dot."""

SETTLE_SECONDS = 1.0
"""A file that has not changed for so long is complete."""


def folder_feeds(
    folder: Path,
    every: float | None = None,
    stop: threading.Event | None = None,
    note: Callable[[str], None] = lambda _: None,
    settle: float = SETTLE_SECONDS,
) -> Iterator[Feed]:
    """Yield a feed for each file of a known form, in the order of their names; `note` takes lines to show.

    Applied files go to `done/`, those that can't be used to `failed/` with `NAME.reason.txt`. A file that is
    still being written holds back those behind it, so that changes are applied in order. With `every` the
    folder is looked at again every so many seconds until `stop` is set; without, it is gone through once.
    Raises CatalogueError when the folder can't be used.
    """
    stop = stop or threading.Event()
    watched = _Folder(folder, settle, note)
    waited = False
    while not stop.is_set():
        try:
            found = watched.look()
        except OSError as error:
            problem = f"{folder} can't be read: {error.strerror or error}"
            if every is None:
                raise CatalogueError(problem) from error
            note(f"{problem}; looking again in {every:g} s")
            stop.wait(every)
            continue
        if found is not None:
            waited = False
            yield watched.feed(found)
        elif every is not None:
            stop.wait(min(every, settle) if watched.growing else every)
        elif watched.growing and not waited:
            waited = True
            stop.wait(settle + 0.01)
        else:
            if watched.growing:
                note(f"{watched.growing} is being written: it and what is behind it are left to the next run")
            return


@dataclass(frozen=True, slots=True)
class _State:
    """What tells one state of a file from another."""

    size: int
    written_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Self:
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


class _Folder:
    """What is in the folder. `growing` is the first unfinished file of the last look, "" where there is none.

    It is polled: inotify tells nothing of what other machines do to a network file system.
    """

    def __init__(self, folder: Path, settle: float, note: Callable[[str], None]) -> None:
        self.growing = ""
        self._path = folder
        self._settle = settle
        self._note = note
        self._passed_over: set[str] = set()
        self._since: dict[str, tuple[_State, float]] = {}
        self._given: dict[str, _State] = {}
        if not folder.is_dir():
            raise CatalogueError(f"{folder} is no folder: make it, or name the one that changes are put in")
        try:
            for name in (DONE, FAILED):
                (folder / name).mkdir(exist_ok=True)
            for place in (folder, folder / DONE, folder / FAILED):
                if not os.access(place, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, f"{place} is read-only")
        except OSError as error:
            raise CatalogueError(
                f"files of {folder} can't be moved to {DONE}/ and {FAILED}/ in it ({error.strerror}): let "
                "the indexer write there, or index the files one by one"
            ) from error

    def look(self) -> Catalogue | None:
        """Return the next complete file that was not given yet. Raises OSError."""
        now = time.monotonic()
        since: dict[str, tuple[_State, float]] = {}
        catalogues: dict[str, Catalogue] = {}
        for path in sorted(self._path.iterdir()):
            with suppress(FileNotFoundError):  # taken away meanwhile
                if path.is_file() and (catalogue := self._opened(path)):
                    state = _State.of(path)
                    before = self._since.get(path.name)
                    since[path.name] = before if before and before[0] == state else (state, now)
                    catalogues[path.name] = catalogue
        self._since = since
        self._given = {name: state for name, state in self._given.items() if name in since}
        waiting = [name for name, (state, _) in since.items() if self._given.get(name) != state]
        self.growing = ""
        if waiting:
            state, seen = since[waiting[0]]
            if now - seen >= self._settle:
                self._given[waiting[0]] = state
                return catalogues[waiting[0]]
            self.growing = waiting[0]
        return None

    def feed(self, catalogue: Catalogue) -> Feed:
        """Return the feed of what `look` returned."""
        path, state = catalogue.path, self._given[catalogue.path.name]
        return Feed(catalogue, lambda: self._applied(path, state), lambda error: self._failed(path, error))

    def _opened(self, path: Path) -> Catalogue | None:
        if path.name.startswith(".") or path.suffix.lower() in UNFINISHED:
            return None
        try:
            return open_catalogue(path)
        except CatalogueError as error:
            if path.name not in self._passed_over:
                self._passed_over.add(path.name)
                self._note(f"passed over: {error}")
            return None

    def _applied(self, path: Path, state: _State) -> None:
        try:
            if _State.of(path) != state:
                self._note(f"{path} was written again meanwhile: what it holds now is read next")
                return
            path.rename(_free(self._path / DONE, path.name))
        except FileNotFoundError:
            return  # its producer took it away
        except OSError as error:
            raise CatalogueError(
                f"{path} was applied but can't be moved to {DONE}/: {error.strerror or error}"
            ) from error

    def _failed(self, path: Path, error: CatalogueError) -> None:
        try:
            target = _free(self._path / FAILED, path.name)
            path.rename(target)
            target.with_name(f"{target.name}.reason.txt").write_text(f"{error}\n", encoding="utf-8")
        except FileNotFoundError:
            self._note(f"{error}; it was taken away meanwhile")
            return
        except OSError as problem:
            raise CatalogueError(
                f"{error} (and it can't be moved to {FAILED}/: {problem.strerror or problem})"
            ) from error
        self._note(f"moved to {target}: {error}")


def _free(folder: Path, name: str) -> Path:
    """Return a path for `name` in the folder that no file has: a.csv.gz, then a.2.csv.gz and so on."""
    folder.mkdir(exist_ok=True)
    stem, dot, ending = name.partition(".")
    names = itertools.chain([name], (f"{stem}.{number}{dot}{ending}" for number in itertools.count(2)))
    return next(folder / free for free in names if not (folder / free).exists())
