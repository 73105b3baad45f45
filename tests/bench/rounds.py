"""Rounds: everybody once in each, in turn, so that what else the machine does hits all alike.

A ratio is taken within a round; what is reported is the median of the rounds' ratios.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

Samples = dict[str, list[float]]
"""What was measured, by contestant: a value a round."""


def interleave(
    names: Sequence[str], rounds: int, measure: Callable[[str], float], *, warm_up: bool = True
) -> Samples:
    """Measure each name once a round; who begins changes with the round."""
    samples: Samples = {name: [] for name in names}
    if warm_up:
        for name in names:
            measure(name)
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            samples[name].append(measure(name))
    return samples


def medians(samples: Samples) -> dict[str, float]:
    """Give the median of each contestant."""
    return {name: median(values) for name, values in samples.items()}


def ratio(samples: Samples, name: str, base: str) -> float:
    """Give the median over the rounds of ``name`` / ``base``."""
    return median(a / b for a, b in zip(samples[name], samples[base], strict=True))


def over(samples: Samples, base: str) -> Samples:
    """Give what each took over ``base``, round by round."""
    return {
        name: [value - plain for value, plain in zip(values, samples[base], strict=True)]
        for name, values in samples.items()
        if name != base
    }


def percentile(values: Iterable[float], percent: int) -> float:
    """Give the smallest value that ``percent`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
