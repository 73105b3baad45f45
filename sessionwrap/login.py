"""sessionwrap-shell: started as a user's login shell, it becomes the user's real shell.

Runs with the user's rights in every login of an enrolled user, so it holds no secret and decides
nothing that the recorder does not check again. Standard library only, and of that as little as
can be: its start is everybody's waiting time. What only a recorded login needs is in ``handover``.
"""

from __future__ import annotations

import _signal as signal  # the module `signal` makes enums of everything: milliseconds
import posix as os  # what the module `os` is made of, which takes most of a millisecond more
import sys

from sessionwrap import paths, tickets
from sessionwrap.errors import ConfigError, HandshakeError, LoginRefused, TicketError

EXIT_REFUSED = 1
FALLBACK_SHELL = "/bin/sh"
ANSWER_SECONDS = 2
"""How long a login that is not recorded waits for the recorder to name a shell."""
MOSH = b"mosh-server"
"""Started by a command over SSH, it opens a terminal that outlives that, and starts SHELL there."""
EMPTIED = (b"GCONV_PATH", b"LD_AUDIT", b"LD_LIBRARY_PATH", b"LD_PRELOAD", b"LOCPATH")
"""What sshd_config.d/sessionwrap.conf sets to nothing; nobody else needs to see that."""

Environment = dict[bytes, bytes]


def main() -> None:
    """Become the user's real shell, recorded if the decision says so."""
    # Python ignores these two, and what is ignored stays so in the shell.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends us without a traceback
    args = [_encode(arg) for arg in sys.argv[1:]]
    env = environment()
    try:
        start(args, env)
    except LoginRefused as refusal:
        _say(f"{refusal} Please tell an administrator.")
    except Exception as error:  # a fault of ours ends the login, it never passes unrecorded
        _say(f"this login cannot be recorded: {type(error).__name__}: {error}")
    os._exit(EXIT_REFUSED)


def start(args: list[bytes], env: Environment) -> None:
    """Replace this process by the real shell; returns only by raising LoginRefused."""
    as_login = is_login_shell(args, env, *parent())
    try:
        ticket = tickets.find(os.getpid(), os.getuid())
    except TicketError as error:
        raise LoginRefused(
            f"this login must be recorded, but its ticket is broken: {error}."
        ) from error
    shell = (ticket.shell if ticket is not None else "") or shell_of_sssd(sys.argv[0], env)
    told = fallback = ""
    if ticket is None or ticket.record:
        from sessionwrap import handover  # a login that is not recorded does not pay for it

        try:
            if starts_mosh(args, with_command=True):
                raise LoginRefused(
                    "this login must be recorded, but mosh starts a command without the login "
                    "shell: leave the command out."
                )
            told, fallback = handover.record(args, env)
        except LoginRefused as refusal:
            _go_on_unrecorded(ticket, str(refusal))
    become(shell or told or _known_shell(fallback), args, env, as_login)


def _go_on_unrecorded(ticket: tickets.Ticket | None, problem: str) -> None:
    """Return where the failure policy lets this login pass unrecorded; LoginRefused where not.

    Without a ticket we read the rules ourselves: nobody else is there to ask. That decides
    nothing that this user, whose process this is, could not do without us.
    """
    from sessionwrap import scope

    if ticket is None:
        record, policy, user = _decide()
        if not record:
            return
    else:
        policy, user = ticket.policy, ticket.user
    from sessionwrap import journal_protocol

    refused = policy == scope.STRICT
    what = "was refused" if refused else "goes on unrecorded, as the failure policy says"
    journal_protocol.log(
        journal_protocol.not_recorded_fields(
            f"A shell of {user} {what}: {problem}",
            user,
            ticket.service if ticket else "",
            ticket.name if ticket else "",
        )
    )
    if refused:
        raise LoginRefused(problem)
    _say("this session is not recorded, though it should be. An administrator has been told.")


def _decide() -> tuple[bool, str, str]:
    """Give (record, policy, user) by the rules; in doubt a recording, with the strict policy."""
    from sessionwrap import accounts, decisions, scope

    account = accounts.look_up(os.getuid())
    if account is None:
        return True, scope.STRICT, str(os.getuid())
    decision, policy = decisions.Rules().decide(account)
    return decision.record, policy, account.name


def become(path: str, args: list[bytes], env: Environment, as_login: bool) -> None:
    """Exec the real shell in place, with the name and variables that it expects."""
    name = path.rpartition("/")[2]
    if _decode(env.get(b"SHELL", b"")) in paths.LOGIN_SHELLS and not starts_mosh(args):
        env[b"SHELL"] = _encode(path)
    argv = [_encode(("-" if as_login else "") + name), *args]
    try:
        os.execve(path, argv, env)
    except OSError as error:
        _alert_shell(path, str(error.strerror))
        if env.get(b"SHELL") == _encode(path):
            env[b"SHELL"] = FALLBACK_SHELL.encode()
        os.execve(FALLBACK_SHELL, [b"-sh" if as_login else b"sh", *args], env)


def environment() -> Environment:
    """Give the variables that we were started with.

    Not os.environ: under the C locale Python puts LC_CTYPE into its own (PEP 538).
    """
    with open("/proc/self/environ", "rb") as file:
        pairs = [item.partition(b"=") for item in file.read().split(b"\0") if b"=" in item]
    # Of two of one name the first wins, as in getenv(3).
    return {name: value for name, _, value in reversed(pairs) if value or name not in EMPTIED}


def shell_of_sssd(name: str, env: Environment) -> str:
    """Give the shell that SSSD's PAM module found for the user; "" where it says none that works.

    Only where SSSD's session recording started us, by the ``name`` that it knows: the variable
    stays in the session, as with tlog, and must not be taken for another user's who has `su`ed.
    It is the user's to change, and decides what they start, not whether it is recorded.
    """
    shell = _decode(env.get(b"TLOG_REC_SESSION_SHELL", b""))
    if not shell or name != paths.SSSD_LOGIN_SHELL:
        return ""
    from sessionwrap import shells

    return shell if shells.usable(shell) else ""


def starts_mosh(args: list[bytes], *, with_command: bool = False) -> bool:
    """Tell whether the command that we are given starts mosh's server.

    ``with_command``: one that starts a command instead of the shell (mosh-server(1)).
    """
    if args[:1] != [b"-c"]:
        return False
    after = b"".join(args[1:2]).partition(MOSH)[2]
    words = after.translate(bytes.maketrans(b"'\"\\", b"   ")).split()
    return words[:1] == [b"new"] and (not with_command or b"--" in words)


def parent() -> tuple[str, int, list[str]]:
    """Give the name, the effective uid and the command line of the program that started us.

    From /proc/PID/status (proc(5)): the owner of /proc/PID is root for each set-id program.
    """
    pid = os.getppid()
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            status = file.read(4096)
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            command = file.read(65536).split("\0")
    except OSError:
        return "", 0, []
    name = status.partition("\n")[0].partition("\t")[2]
    return name, int(status.partition("\nUid:")[2].split(None, 2)[1]), command


_OPTIONS_WITH_VALUE = {
    "su": "cgGswT",
    "runuser": "cgGsuwT",
    "sudo": "CDghpRrTtUu",
}
_START_LOGIN_SHELLS = ("sshd", "login", "tmux", "mosh-server")
_LOGIN_OPTION = {"su": "l", "runuser": "l", "sudo": "i"}


def is_login_shell(
    args: list[bytes],
    env: Environment,
    parent_name: str,
    parent_uid: int,
    parent_command: list[str],
) -> bool:
    """Tell whether the program that started us wants a login shell.

    By custom it says so with a `-` before argv[0], but the kernel takes argv[0] away from a
    script (execve(2), "Interpreter scripts"). So we ask what it must have been: su and sudo say
    it in their own command line; sshd, login, tmux and mosh want one unless they pass a command;
    from another program of root's a new environment, one that no shell has been in yet, means a
    new login. Terminal windows are the user's own programs, and want none.
    """
    if parent_name in _LOGIN_OPTION:
        return _has_option(
            parent_command[1:], _LOGIN_OPTION[parent_name], _OPTIONS_WITH_VALUE[parent_name]
        )
    if b"-c" in args[:1]:
        return False
    if parent_name.startswith(_START_LOGIN_SHELLS):
        return True
    return parent_uid == 0 and b"SHLVL" not in env


def _has_option(command: list[str], letter: str, with_value: str) -> bool:
    words = iter(command)
    for word in words:
        if word in ("-", "--login"):
            return True
        if word == "--":
            return False
        if word.startswith("--") or not word.startswith("-"):
            continue  # su takes its user before options; sudo's command begins after its own
        for place, option in enumerate(word[1:], start=2):
            if option == letter:
                return True
            if option in with_value:
                if place == len(word):
                    next(words, None)
                break
    return False


def _known_shell(fallback: str) -> str:
    """Give the user's own shell, the recorder's word where that is not known; /bin/sh, with an
    alert, where it does not work.
    """
    from sessionwrap import accounts, shells  # only where the ticket names no shell

    account = accounts.look_up(os.getuid())
    shell = _own_shell(account.name, account.base_shell) if account else ""
    shell = shell or fallback or _shell_of_settings()
    if shells.usable(shell):
        return shell
    _alert_shell(shell, "it is missing, not executable, or sessionwrap-shell itself")
    return FALLBACK_SHELL


def _own_shell(user: str, base_shell: str) -> str:
    """Give what ``shells.real_shell`` does, a shell that does not work too."""
    from sessionwrap import shells

    try:
        enrolled = shells.lookup(user) if shells.is_login_shell(base_shell) else ""
    except ConfigError:
        return ""
    return enrolled or shells.real_shell(user, base_shell)


def _shell_of_settings() -> str:
    """Ask the recorder for the shell of its settings; "" where it does not answer.

    For a login that is not recorded: it goes on either way.
    """
    from sessionwrap import handshake

    try:
        sock = handshake.connect(paths.RECORDER_SOCKET, ANSWER_SECONDS)
        sock.send(handshake.COMMAND)
        kind, text = handshake.parse_reply(sock.recv(handshake.MAX_FRAME), 0)
        sock.close()
    except (OSError, HandshakeError):
        return ""
    return handshake.parse_shells(text)[1] if kind == handshake.UNRECORDED else ""


def _alert_shell(shell: str, reason: str) -> None:
    from sessionwrap import journal_protocol, message_ids

    journal_protocol.alert(
        message_ids.ALERT_SHELL,
        f"The shell {shell or '(unknown)'} cannot be started: {reason}. "
        f"{FALLBACK_SHELL} was started instead",
        {"SESSIONWRAP_UID": str(os.getuid())},
    )


def _encode(text: str) -> bytes:
    """Do what os.fsencode does: we are started with -X utf8."""
    return text.encode("utf-8", "surrogateescape")


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _say(text: str) -> None:
    try:
        os.write(2, _encode(f"sessionwrap: {text}\r\n"))
    except OSError:
        return  # nobody is there to read it
