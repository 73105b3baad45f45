from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.overlay.running import DIRECTORY, LOCAL, Overlay


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Overlay]:
    running = Overlay(tmp_path, LOCAL)
    yield running
    running.close()


@pytest.fixture
def over_directory(tmp_path: Path) -> Iterator[Overlay]:
    running = Overlay(tmp_path, DIRECTORY)
    yield running
    running.close()
