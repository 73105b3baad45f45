"""The clock of a playback."""

from __future__ import annotations

from sessionwrap.player.clock import FASTEST, SLOWEST, Clock


def test_time_passes_at_the_speed() -> None:
    clock = Clock(10.0, speed=2.0, paused=False)
    assert clock.position(11.0) == 2000
    assert clock.wait(11.0, 4000) == 1.0


def test_a_change_of_speed_holds_from_then_on() -> None:
    clock = Clock(0.0, speed=1.0, paused=False)
    clock.set_speed(1.0, 4.0)
    assert clock.position(2.0) == 5000


def test_the_speed_has_limits() -> None:
    clock = Clock(0.0, speed=1.0, paused=False)
    clock.set_speed(0.0, 1000)
    assert clock.speed == FASTEST
    clock.set_speed(0.0, 0)
    assert clock.speed == SLOWEST


def test_no_time_passes_in_a_pause() -> None:
    clock = Clock(0.0, speed=1.0, paused=False)
    clock.set_paused(1.0, paused=True)
    assert clock.position(9.0) == 1000
    clock.set_paused(10.0, paused=False)
    assert clock.position(11.0) == 2000
