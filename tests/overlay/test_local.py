"""The local accounts and groups: what the overlay takes from the files is what NSS says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sessionwrap.overlay import local

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "passwd": (
        "alice:x:20001:20001::/:/bin/sh\n"
        "bob:x:20002:20010::/:/bin/sh\n"
        "nameless:x:20003:54321::/:/bin/sh\n"
        "alone:x:20004:20004::/:/bin/sh\n"
    ),
    "group": (
        "wheel:x:20010:carol,alice\n"
        "twin:x:20010:nameless,alone\n"  # the same group under another name
        "alice:x:20001:\n"
        "staff:x:20011:alice,bob,nameless,alice\n"
        "alone:x:20004:\n"
    ),
    "nsswitch.conf": "passwd: files\ngroup: files\n",
}
MOUNT = """\
for name in passwd group nsswitch.conf; do mount --bind "$1/$name" "/etc/$name"; done
exec "$2" -c "$3"
"""
COMPARE = f"""
import json, sys
sys.path[:0] = [{str(ROOT)!r}]
from sessionwrap import accounts
from sessionwrap.overlay.local import LocalAccounts
files = LocalAccounts()
files.refresh()
ours = {{user: sorted(set(files.groups_of(one))) for user, one in files.by_name.items()}}
theirs = {{
    user: sorted(accounts.groups_of(user, one.gid)) for user, one in files.by_name.items()
}}
print(json.dumps([ours, theirs]))
"""


def compare(directory: Path, **files: str) -> list[object]:
    """Give the groups of each user as the overlay and as NSS have them."""
    for name, text in (FILES | files).items():
        (directory / name).write_text(text)
    argv = ["unshare", "--mount", "--propagation=private", "sh", "-ec", MOUNT, "sh"]
    done = subprocess.run(
        [*argv, str(directory), sys.executable, COMPARE], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def test_the_groups_of_a_local_user_are_those_that_nss_gives(tmp_path: Path) -> None:
    """The hook goes by what NSS gives: where the overlay says otherwise, it refuses."""
    ours, theirs = compare(tmp_path)
    assert ours == theirs
    assert theirs == {
        "alice": ["alice", "staff", "wheel"],
        "bob": ["staff", "wheel"],
        "nameless": ["", "staff", "wheel"],
        "alone": ["alone", "wheel"],
    }


@pytest.mark.parametrize(
    ("nsswitch", "alone"),
    [
        ("group: files\n", True),
        ("group: files systemd\n", True),
        ("group: files sss\n", False),
        ("group: files\ninitgroups: files\n", True),
        ("group: files\ninitgroups: files [NOTFOUND=continue] sss\n", False),
    ],
)
def test_a_directory_that_nsswitch_names_may_add_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nsswitch: str, alone: bool
) -> None:
    # Whether systemd's user database has something is the machine's own matter here.
    monkeypatch.setattr(local, "has_userdb", lambda: False)
    file = tmp_path / "nsswitch.conf"
    file.write_text(nsswitch)
    monkeypatch.setattr(local, "NSSWITCH", str(file))
    accounts = local.LocalAccounts()
    accounts.refresh()
    assert accounts.alone == alone
