"""The rules as the files have them now, read again when one of the files has changed."""

from __future__ import annotations

import contextlib
import os
import sys

from sessionwrap import config_files, paths, scope
from sessionwrap.errors import ConfigError
from sessionwrap.overlay.local import Stamp, stamp


class CurrentRules:
    """The rules after ``refresh``; ``rules`` are None while they have a mistake."""

    def __init__(self, directory: str = paths.CONFIG_DIR) -> None:
        self.rules: scope.Rules | None = None
        self._directory = directory
        self._directories = (directory, f"{directory}/conf.d")
        self._files: list[str] = []
        self._of_directories: tuple[Stamp, ...] = ()
        self._stamps: tuple[Stamp, ...] = ()

    def refresh(self) -> bool:
        """Read what has changed; tells whether anything has."""
        stamps = self._look()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        try:
            self.rules = scope.parse(config_files.read_scope_files(self._directory))
        except ConfigError as error:
            self.rules = None
            print(f"{error}. Everybody gets the login shell", file=sys.stderr, flush=True)
        return True

    def _look(self) -> tuple[Stamp, ...]:
        """Give what changes whenever a file does; directories are listed when they change."""
        of_directories = tuple([stamp(path) for path in self._directories])
        if of_directories != self._of_directories:
            self._of_directories = of_directories
            top, dropins = self._directories
            self._files = [f"{top}/sessionwrap.conf"]
            with contextlib.suppress(OSError):
                self._files += [f"{dropins}/{name}" for name in sorted(os.listdir(dropins))]
        return (*of_directories, *[stamp(path) for path in self._files])
