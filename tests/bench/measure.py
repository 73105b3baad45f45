"""Measures in the host, as root: python3 -m tests.bench.measure [--quick] [FIGURE …].

Prints a JSON object a line: facts of the host, then each result when it is there.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
import time

from tests.bench.errors import BenchError
from tests.bench.figures import FIGURES
from tests.bench.results import FULL, QUICK


def main() -> None:
    """Measure the figures that are named; all, where none is. Status 1 where one failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("figures", nargs="*")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    _say({"facts": _facts()})
    gc.disable()
    failed = []
    for name in FIGURES:  # in this order: getpwnam stands last for a reason
        if options.figures and name not in options.figures:
            continue
        began = time.monotonic()
        try:
            for result in FIGURES[name](sizes):
                _say({"result": {**result._asdict(), "met": result.met}})
        except BenchError as error:
            failed.append(name)
            print(f"{name}: {error}", file=sys.stderr, flush=True)
        gc.collect()
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    sys.exit(1 if failed else 0)


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


def _facts() -> dict[str, str]:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    with open("/etc/debian_version", encoding="ascii") as file:
        debian = file.read().strip()
    return {
        "processor": f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores",
        "kernel": os.uname().release,
        "Debian": debian,
        "Python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


if __name__ == "__main__":
    main()
