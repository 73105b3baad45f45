"""For the tests of verbs."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are shown in UTC."""
    monkeypatch.setenv("TZ", "UTC")
