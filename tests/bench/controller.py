"""Builds the package, boots a throwaway host, has the figures measured in it, prints the table."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import images
import steps
from host import Host, HostError

from sessionwrap import paths
from tests.bench import journal, report, stored, terminal
from tests.bench.contestants import RECORDED, UNRECORDED
from tests.bench.figures import FIGURES
from tests.bench.results import Result

ROOT = Path(__file__).resolve().parents[2]
IN_HOST = "/opt/bench"
GROUP = "wheel"
PACKAGES = ("sessionwrap", "tlog", "bsdutils", "systemd", "python3")

_SCOPE = f"[session_recording]\nscope = some\ngroups = {GROUP}\n"
# Nothing is held back or thrown away by limits: what is measured is the work.
_JOURNALD = (
    "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nRateLimitBurst=0\n"
    "SystemMaxUse=4G\nSystemMaxFileSize=1G\nSystemKeepFree=0\n"
)


def main() -> int:
    """Run the command line; the status is 0 when all was measured, targets met or not."""
    options = _arguments()
    steps.require_root("tests/bench/run")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="bench.") as directory:
            deb = options.deb or _build(Path(directory))
            with Host(images.base(), name="bench") as host:
                _prepare(host, deb, options.figures, Path(directory))
                facts, results, status = _measure(host, options)
    except (HostError, steps.StepError, subprocess.CalledProcessError, OSError) as error:
        print(f"tests/bench/run: {error}", file=sys.stderr)
        return 1
    print(report.text(facts, results))
    if options.json:
        lines = [{**result._asdict(), "met": result.met} for result in results]
        options.json.write_text(json.dumps({"facts": facts, "results": lines}, indent=2) + "\n")
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/bench/run",
        description="Measure how fast we record, beside tlog, script and a bare relay, in a "
        "throwaway host. The machine should be idle.",
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: about a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--deb", type=Path, help="measure this package, not the checkout")
    parser.add_argument(
        "figures", nargs="*", metavar="FIGURE", help=f"only these: {', '.join(FIGURES)}"
    )
    options = parser.parse_args()
    unknown = set(options.figures) - set(FIGURES)
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    return options


def _build(directory: Path) -> Path:
    build = [sys.executable, str(ROOT / "packaging/build-deb"), str(directory)]
    done = subprocess.run(build, stdout=subprocess.PIPE, check=True, text=True)
    return Path(done.stdout.splitlines()[0])


def _prepare(host: Host, deb: Path, figures: list[str], directory: Path) -> None:
    host.write("/etc/systemd/journald.conf.d/bench.conf", _JOURNALD)
    host.run(["systemctl", "restart", "systemd-journald"])
    host.install(deb)
    host.add_user(RECORDED, groups=[GROUP])
    host.add_user(UNRECORDED)
    for user in (RECORDED, UNRECORDED):
        host.write(f"/home/{user}/.bashrc", terminal.BASHRC)
    host.write(f"{paths.CONFIG_DIR}/sessionwrap.conf", _SCOPE)
    host.run(["sessionwrap", "enroll", RECORDED, UNRECORDED])
    host.run(["chmod", "1777", "/run/tlog"])  # Debian's tlog has no rights to write there
    for path in sorted((ROOT / "tests/bench").rglob("*.py")):
        host.copy_in(path, f"{IN_HOST}/{path.relative_to(ROOT)}")
    if not figures or "list" in figures:
        recorder = int(host.run(["id", "-u", paths.RECORDER_USER]).stdout)
        with steps.step("Making a journal with many recordings"):
            host.copy_in(stored.make(directory, recorder), journal.STORED)


def _measure(host: Host, options: argparse.Namespace) -> tuple[dict[str, str], list[Result], int]:
    argv = ["python3", "-m", "tests.bench.measure", *(["--quick"] if options.quick else [])]
    facts: dict[str, str] = {}
    results = []
    command = host.command([*argv, *options.figures], env={"PYTHONPATH": IN_HOST})
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as program:
        assert program.stdout
        for text in program.stdout:
            line = json.loads(text)
            if "facts" in line:
                facts = line["facts"]
            else:
                line["result"].pop("met")
                results.append(Result(**line["result"]))
    show = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *PACKAGES]
    facts["packages"] = ", ".join(host.run(show).stdout.splitlines())
    return facts, results, program.returncode
