"""``sessionwrap explain``: is this user recorded, and which rule says so."""

from __future__ import annotations

import json

import click

from sessionwrap import accounts, config_files, paths, scope, shells

EPILOG = """
\b
Examples:
  sessionwrap explain alice
  sessionwrap explain alice --service sshd --json
"""


@click.command(epilog=EPILOG)
@click.argument("user")
@click.option("--service", default="", metavar="NAME", help="The PAM service of the login: sshd.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--config-dir",
    default=paths.CONFIG_DIR,
    show_default=True,
    metavar="DIRECTORY",
    help="Where the configuration is.",
)
def command(user: str, service: str, as_json: bool, config_dir: str) -> None:
    """Say whether a login of USER is recorded, by which rule of which file and line, and what
    happens where it cannot be (the failure policy).

    The exit status is 0 either way, 2 when the configuration is not right, 4 when there is
    no such user.
    """
    account = accounts.find_user(user)
    rules = scope.parse(config_files.read_scope_files(config_dir))
    groups = accounts.groups_of(account.pw_name, account.pw_gid)
    subject = scope.Subject(account.pw_name, account.pw_uid, groups, service)
    decision = scope.decide(rules, subject)
    found = {
        "user": account.pw_name,
        "uid": account.pw_uid,
        "service": service,
        "groups": list(groups),
        "record": decision.record,
        "rule": decision.rule,
        "file": decision.path,
        "line": decision.line,
        "matching_groups": list(scope.matching_groups(rules, subject)),
        "policy": scope.policy_for(rules, subject),
        "shell": account.pw_shell,
        "enrolled": shells.is_login_shell(account.pw_shell),
    }
    click.echo(json.dumps(found) if as_json else _text(found, account.pw_uid))


def _text(found: dict[str, object], uid: int) -> str:
    user, line = found["user"], found["line"]
    place = f"{found['file']}:{line}" if line else "no file sets a scope"
    lines = [
        f"{user} is {'' if found['record'] else 'not '}recorded: {found['rule']} ({place})",
        f"groups: {_names(found['groups'])}",
        f"matching groups: {_names(found['matching_groups'])}",
        f"failure policy: {found['policy']}",
    ]
    if found["record"] and not found["enrolled"]:
        shell = found["shell"] or shells.DEFAULT_SHELL
        advice = f"`sessionwrap doctor {user}` finds out why"
        if scope.is_system_account(uid):
            advice = f"`sessionwrap enroll {user}` makes it so"
        lines.append(f"but the shell of {user} is {shell}, not {paths.LOGIN_SHELL}: {advice}")
    return "\n".join(lines)


def _names(names: object) -> str:
    if not isinstance(names, list) or not names:
        return "none"
    return ", ".join(str(name) or "(one without a name)" for name in names)
