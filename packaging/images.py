"""Root images of throwaway hosts, kept in the cache (cache.py).

An image is a stack of directory trees: a Debian made by mmdebstrap, and on top of it what was
changed in a host that was set up once (``derive``). Trees are never changed after they were
made: a host writes to a layer of its own. Each is named by a hash of all that went into it.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cache
import steps

PACKAGES = [
    "bsdutils",
    "cron",
    "dbus",
    "git",
    "iproute2",
    "less",
    "libnss-systemd",
    "libpam-modules",
    "libpam-systemd",
    "locales",
    "login",
    "openssh-client",
    "openssh-server",
    "passwd",
    "procps",
    "psmisc",
    "python3",
    "python3-click",
    "python3-jsonschema",
    "python3-pampy",
    "python3-pexpect",
    "python3-six",
    "python3-systemd",
    "rsync",
    "screen",
    "strace",
    "sudo",
    "systemd",
    "systemd-container",
    "systemd-sysv",
    "systemd-userdbd",
    "tmux",
    "vim",
    "xterm",
    "xvfb",
]

PACKAGES_OF_SUITE = {"bookworm": ["tlog"]}
"""What other releases do not have."""

# Runs in mmdebstrap with the tree as $1. The host is a stage for tests: root and every user log
# in with one key, nothing waits for a network, and what only costs time at boot is off.
_SETUP = r"""
set -eu
cd "$1"
mkdir -p var/log/journal root/.ssh
chmod 700 root/.ssh
chroot . ssh-keygen -q -t ed25519 -N '' -C root -f /root/.ssh/id_ed25519
install -m 644 root/.ssh/id_ed25519.pub etc/ssh/authorized_keys
printf '* %s\n' "$(cut -d ' ' -f 1,2 etc/ssh/ssh_host_ed25519_key.pub)" > etc/ssh/ssh_known_hosts
cat > etc/ssh/sshd_config.d/throwaway.conf <<END
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys
HostKey /etc/ssh/ssh_host_ed25519_key
MaxStartups 300
MaxSessions 100
PrintMotd no
UseDNS no
END
echo 'LANG=C.UTF-8' > etc/default/locale
tr -d - < /proc/sys/kernel/random/uuid > etc/machine-id
for unit in apt-daily.timer apt-daily-upgrade.timer console-getty.service dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer getty.target man-db.timer motd-news.timer ssh.socket \
    systemd-resolved.service systemd-networkd.service systemd-timesyncd.service
do
    ln -sf /dev/null "etc/systemd/system/$unit"
done
"""
# sshd of OpenSSH 9.8 and later locks out an address after failed logins; older ones do not know
# the word.
_SETUP_NEWER = "echo 'PerSourcePenalties no' >> etc/ssh/sshd_config.d/throwaway.conf\n"


class Image(NamedTuple):
    """A stack of trees, the lowest first."""

    trees: tuple[Path, ...]


def base(
    suite: str = "bookworm", *, extra: Sequence[str] = (), without: Sequence[str] = ()
) -> Image:
    """Give the image of a Debian release, made by mmdebstrap when it is not there yet.

    ``extra``: packages besides those that every image has; ``without``: those of every image to
    leave out. Takes the mirror from the machine's own apt configuration. Raises steps.StepError.
    """
    setup = _SETUP if suite == "bookworm" else _SETUP + _SETUP_NEWER
    usual = [*PACKAGES, *PACKAGES_OF_SUITE.get(suite, [])]
    packages = [*(name for name in usual if name not in without), *extra]
    name = f"{suite}-{_digest(suite, *packages, setup)}"
    return Image((cache.entry(name, lambda tree: _bootstrap(suite, packages, setup, tree)),))


def derive(image: Image, name: str, key: str, make: Callable[[Path], None]) -> Image:
    """Give ``image`` with one more tree on top, which ``make`` fills when it is not there yet.

    ``key`` stands for all that ``make`` depends on, besides the image.
    """
    digest = _digest(*(tree.name for tree in image.trees), key)
    return Image((*image.trees, cache.entry(f"{name}-{digest}", make)))


def hold(image: Image) -> list[int]:
    """Lock the trees of an image against removal; give the descriptors that hold the locks."""
    return [cache.hold(tree) for tree in image.trees]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _bootstrap(suite: str, packages: list[str], setup: str, tree: Path) -> None:
    steps.install_packages("mmdebstrap", "systemd-container")
    steps.run(
        f"Making a root image of Debian {suite} (once)",
        [
            "mmdebstrap",
            "--variant=minbase",
            '--aptopt=Acquire::Languages "none"',
            '--aptopt=APT::Install-Recommends "false"',
            f"--include={','.join(packages)}",
            f"--customize-hook={setup}",
            suite,
            str(tree),
            f"deb {_mirror()} {suite} main",
        ],
    )


def _mirror() -> str:
    """Give the address that apt itself has Debian from; StepError where it has it from nowhere."""
    found = _find_mirror()
    if not found:
        steps.run("Reading the package lists", ["apt-get", "-q", "update"])
        found = _find_mirror()
    if not found:
        raise steps.StepError("apt has no source of Debian packages (sources.list(5))")
    return found


def _find_mirror() -> str:
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in targets.stdout.splitlines():
        label, _, uri = line.partition(" ")
        if label == "Debian":
            return uri
    return ""
