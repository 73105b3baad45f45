"""From an account to its decision: the rules as the files have them now.

While the rules have a mistake nobody knows who is to be recorded: everybody is but root and system
accounts, and nobody is locked out. Standard library only: every login waits for this.
"""

from __future__ import annotations

from sessionwrap import config_files, paths, scope
from sessionwrap.accounts import Account
from sessionwrap.errors import ConfigError


class Rules:
    """The rules, None while they have a mistake, and the mistake."""

    __slots__ = ("mistake", "rules")

    def __init__(self, directory: str = paths.CONFIG_DIR) -> None:
        self.rules: scope.Rules | None = None
        self.mistake: ConfigError | None = None
        try:
            self.rules = scope.parse(config_files.read_scope_files(directory))
        except ConfigError as error:
            self.mistake = error

    def leaves_out(self, service: str) -> bool:
        """Tell whether nothing is decided on the logins of a PAM service."""
        return self.rules is not None and service in self.rules.names("exclude_services")

    def may_want_groups(self) -> bool:
        """Tell whether anything depends on the groups of a user, which can be slow to get."""
        return self.rules is not None and self.rules.scope != "none"

    def decide(self, account: Account, service: str = "") -> tuple[scope.Decision, str]:
        """Give the decision on a login, and the failure policy for it."""
        subject = scope.Subject(account.name, account.uid, account.groups, service)
        if self.rules is not None:
            return scope.decide(self.rules, subject), scope.policy_for(self.rules, subject)
        record = not scope.is_system_account(account.uid)
        rule = f"the rules have a mistake: {self.mistake}"
        policy = scope.STRICT if account.uid else scope.BREAK_GLASS
        return scope.Decision(record, rule, "", 0), policy

    def decide_unknown(self, user: str) -> tuple[scope.Decision, str]:
        """Decide on a user of whom nothing but the name is known."""
        uid = 0 if user == "root" else scope.FIRST_UID
        return self.decide(Account((user, uid, uid, "", ""), None))
