"""The rules as the files have them now, read again when one of the files has changed."""

from __future__ import annotations

import contextlib
import os
import sys

from sessionwrap import config_files, paths, scope
from sessionwrap.errors import ConfigError
from sessionwrap.overlay.stamps import Stamps, stamps


class CurrentRules:
    """The rules after ``refresh``; ``rules`` are None while they have a mistake. ``paths`` are the
    directories and files that they are read from.
    """

    def __init__(self, directory: str = paths.CONFIG_DIR) -> None:
        self.rules: scope.Rules | None = None
        self._directory = directory
        self._directories = [directory, f"{directory}/conf.d"]
        self.paths = self._directories
        self._stamps: Stamps = []

    def refresh(self) -> bool:
        """Read what has changed; tells whether anything has."""
        if stamps(self.paths) == self._stamps:
            return False
        self._stamp()
        try:
            self.rules = scope.parse(config_files.read_scope_files(self._directory))
        except ConfigError as error:
            self.rules = None
            print(f"{error}. Everybody gets the login shell", file=sys.stderr, flush=True)
        return True

    def _stamp(self) -> None:
        """Note how all is before it is read: what changes meanwhile is read the next time."""
        of_directories = stamps(self._directories)
        top, dropins = self._directories
        files = [f"{top}/sessionwrap.conf"]
        with contextlib.suppress(OSError):
            files += [f"{dropins}/{name}" for name in sorted(os.listdir(dropins))]
        self.paths = [*self._directories, *files]
        self._stamps = of_directories + stamps(files)
