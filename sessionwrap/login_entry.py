"""The entry that the hook writes of each login: what was decided, and what became of it.

Standard library only and few imports: every login waits for this.
"""

from __future__ import annotations

from sessionwrap import message_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sessionwrap.tickets import Ticket

RECORDED = "recorded"
"""Outcome: it is to be recorded, and all was in place for that."""
OUT_OF_SCOPE = "out_of_scope"
"""Outcome: the rules do not want it recorded."""
PASSED = "passed"
"""Outcome: it should be recorded and cannot be; the failure policy let it pass."""
REFUSED = "refused"
"""Outcome: it should be recorded and cannot be; it was refused."""

_TEXTS = {
    RECORDED: "is to be recorded",
    OUT_OF_SCOPE: "is not to be recorded",
    PASSED: "goes on unrecorded",
    REFUSED: "was refused",
}


def fields(ticket: Ticket, outcome: str, why: str = "") -> dict[str, str]:
    """Give the fields of the entry; ``why`` says what stood in the way of a recording."""
    text = f"A login of {ticket.user} by {ticket.service} {_TEXTS[outcome]} ({ticket.rule})"
    return {
        "MESSAGE": f"{text}: {why}" if why else text,
        "MESSAGE_ID": message_ids.LOGIN,
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "sessionwrap",
        "SESSIONWRAP_LOGIN": ticket.name,
        "SESSIONWRAP_USER": ticket.user,
        "SESSIONWRAP_UID": str(ticket.uid),
        "SESSIONWRAP_SERVICE": ticket.service,
        "SESSIONWRAP_RHOST": ticket.rhost,
        "SESSIONWRAP_TTY": ticket.tty,
        "SESSIONWRAP_SESSION": str(ticket.session),
        "SESSIONWRAP_RULE": ticket.rule,
        "SESSIONWRAP_POLICY": ticket.policy,
        "SESSIONWRAP_OUTCOME": outcome,
        "SESSIONWRAP_WHY": why,
    }
