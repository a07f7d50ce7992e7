"""The command line: its words, and what each command is given. Commands themselves are imported when they run."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

__all__ = ["main"]

Command = Callable[["argparse._SubParsersAction[argparse.ArgumentParser]"], None]

_USERNAME = re.compile(r"@?(?P<name>[A-Za-z][A-Za-z0-9_]{4,31})$")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
MOST_STARS = 1_000_000_000
"""A play user needs no more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0, 1 when it failed, 2 for arguments that make no sense."""
    parser = argparse.ArgumentParser(prog="aiogram_neonpay", description="Sell for Telegram Stars with aiogram.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    chosen = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = chosen.run
    return run(chosen)


def _add_sandbox(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Say what ``sandbox`` takes."""
    about = "run a stand-in for Telegram's servers: the Bot API, people with play Stars, a page to act as them"
    parser = commands.add_parser(
        "sandbox",
        help=about,
        description=about[0].upper() + about[1:] + ". It runs until Ctrl-C or SIGTERM, and nothing is kept.",
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8181, metavar="PORT", help="the port (%(default)s); 0 takes a free one"
    )
    parser.add_argument(
        "--allow-public",
        action="store_true",
        help="allow an address that other machines reach: whoever opens the page acts as any of its people",
    )
    parser.add_argument(
        "--bot",
        action="append",
        dest="bots",
        type=_username,
        metavar="USERNAME",
        help="a bot to create; may be repeated (my_bot)",
    )
    parser.add_argument(
        "--user",
        action="append",
        dest="users",
        type=_user,
        metavar="NAME:STARS[:LANGUAGE]",
        help="a person to create, such as Alice:500:en; may be repeated (Alice:500:en, Bob:100:ru and Dana:5:az)",
    )
    parser.add_argument(
        "--group", metavar="TITLE", help="a group with all of them and every bot in it; none unless given"
    )
    parser.add_argument(
        "--seed", type=int, metavar="NUMBER", help="give out the same ids in every run with this number"
    )
    parser.add_argument(
        "--clock",
        type=_moment,
        metavar="TIME",
        help="the sandbox's time at the start, such as 2027-01-31T12:00:00Z (now); UTC unless it says otherwise",
    )
    parser.add_argument(
        "--stopped", action="store_true", help="let time stand still until the page or the control API moves it"
    )
    parser.add_argument(
        "--redis", action="store_true", help="also run a redis-server of its own for the bot; it keeps nothing"
    )

    def run(chosen: argparse.Namespace) -> int:
        from aiogram_neonpay.sandbox.command import SandboxCommand, run_command

        if isinstance(chosen.users, list):
            names = [name for name, *_ in chosen.users]
            if double := next((name for name in names if names.count(name) > 1), None):
                parser.error(f"argument --user: there are two people named {double!r}")
        if chosen.bots and (double := next((name for name in chosen.bots if chosen.bots.count(name) > 1), None)):
            parser.error(f"argument --bot: there are two bots named {double!r}")
        return run_command(
            SandboxCommand(
                host=chosen.host,
                port=chosen.port,
                allow_public=chosen.allow_public,
                bots=chosen.bots or ["my_bot"],
                users=chosen.users or [("Alice", 500, "en"), ("Bob", 100, "ru"), ("Dana", 5, "az")],
                group=chosen.group,
                seed=chosen.seed,
                start=chosen.clock,
                stopped=chosen.stopped,
                redis=chosen.redis,
            ),
            out=sys.stdout,
            err=sys.stderr,
        )

    parser.set_defaults(run=run)


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Say what ``doctor`` takes."""
    about = "look for what silently kills sales, such as updates not asked for, or a storage that forgets"
    parser = commands.add_parser(
        "doctor", help=about, description=about[0].upper() + about[1:] + ". It changes nothing."
    )
    parser.add_argument(
        "program", metavar="MODULE:NAME", help="where the Dispatcher, or the NeonPay, is: bot:dp for dp in bot.py"
    )
    parser.add_argument("--bot", metavar="MODULE:NAME", help="where the Bot is; without it, one is made from BOT_TOKEN")

    def run(chosen: argparse.Namespace) -> int:
        from aiogram_neonpay.consultation import consult

        return consult(chosen.program, chosen.bot, out=sys.stdout, err=sys.stderr)

    parser.set_defaults(run=run)


COMMANDS: tuple[Command, ...] = (_add_sandbox, _add_doctor)
"""One function for each command: it adds a parser, and to that ``run=``, which returns the exit status."""


def _port(written: str) -> int:
    if not written.isascii() or not written.isdigit() or int(written) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a whole number from 0 to 65535, not {written!r}")
    return int(written)


def _username(written: str) -> str:
    found = _USERNAME.match(written)
    if found is None or not found["name"].lower().endswith("bot"):
        raise argparse.ArgumentTypeError(
            f"a bot's username has 5-32 letters, digits and underscores, begins with a letter and ends in 'bot'; "
            f"not {written!r}"
        )
    return found["name"]


def _user(written: str) -> tuple[str, int, str]:
    name, _, rest = written.partition(":")
    stars, _, language = rest.partition(":")
    if not name.strip() or not stars.isascii() or not stars.isdigit() or int(stars) > MOST_STARS:
        raise argparse.ArgumentTypeError(
            f"a person is NAME:STARS or NAME:STARS:LANGUAGE with 0-{MOST_STARS} Stars, such as Alice:500:en; "
            f"not {written!r}"
        )
    if language and not _LANGUAGE.match(language):
        raise argparse.ArgumentTypeError(f"a language is a code such as en or pt-br, not {language!r}")
    return name.strip(), int(stars), language or "en"


def _moment(written: str) -> float:
    try:
        # Python 3.10 does not read the Z.
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", written))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"a time is written as 2027-01-31 or 2027-01-31T12:00:00Z, not {written!r}"
        ) from None
