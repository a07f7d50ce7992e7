"""``admin_router``: the orders of admins, by command and by button, and what is done about each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiogram import Bot, Router
from aiogram.exceptions import TelegramAPIError
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, Message

from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.errors import NeonPayError, PaymentError, ValidationError
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.reports import MOST_DAYS
from aiogram_neonpay.storefront.admin.buttons import AdminTap, Keyboard
from aiogram_neonpay.storefront.admin.commands import (
    LONGEST_REASON,
    first_word,
    names_of,
    parse_grant,
    parse_revoke,
    user_in,
)
from aiogram_neonpay.storefront.admin.deeds import (
    Refused,
    answer,
    ask_grant,
    ask_refund,
    ask_revoke,
    ask_unknown_refund,
)
from aiogram_neonpay.storefront.admin.figures import balance_page, reconcile_page, report_page
from aiogram_neonpay.storefront.admin.gate import Admins, Gate
from aiogram_neonpay.storefront.admin.pages import (
    LISTED,
    Page,
    Say,
    access_page,
    payment_page,
    stuck_page,
    timeline_page,
    user_page,
)
from aiogram_neonpay.storefront.admin.screen import Screen
from aiogram_neonpay.wording import Lines, plain

__all__ = ["admin_router"]

WITH_WORDS = frozenset({"find", "refund", "redeliver", "report", "grant", "revoke"})
MOST_PAGES = 100_000
MONTH = 30


def admin_router(
    admins: Admins,
    *,
    chats: Iterable[int] = (),
    prefix: str = "pay",
    commands: Mapping[str, str | None] | None = None,
) -> Router:
    """Return a router with commands and buttons for admins: look up, refund, deliver again, report, grant access.

    Include it beside the router of :func:`neonpay_router`, before handlers that take every message. For everybody else
    it is not there: their updates go on to the bot's other handlers.

    :param admins: a user's id, several, or a filter as aiogram takes it, called with the ``Message`` or
        ``CallbackQuery``. A filter that raises refuses.
    :param chats: groups in which admins may work, by id; everybody there reads the answers. Without them, only the
        admins' private chats with the bot.
    :param prefix: what the commands begin with: ``/payadmin``, ``/payfind``, ...
    :param commands: other names by action (``admin``, ``find``, ``refund``, ``redeliver``, ``stuck``, ``balance``,
        ``report``, ``reconcile``, ``grant``, ``revoke``), or ``None`` for an action without a command.
    :raises ConfigurationError: for admins, chats or commands of the wrong kind.
    :raises ValidationError: for numbers that are no ids, and names that are no commands.
    """
    desk = _Desk(names_of(prefix, commands or {}))
    gate = Gate(admins, desk.names.values(), chats)
    router = Router(name="neonpay-admin")
    router.message.filter(gate)
    router.callback_query.filter(gate)
    for action, name in desk.names.items():
        router.message.register(desk.handler_of(action), Command(name))
    router.callback_query.register(desk.on_tap, AdminTap.filter())
    return router


@dataclass(frozen=True)
class _Order:
    """What an admin wants.

    :ivar text: the words after the command, or what the button carries.
    """

    neonpay: NeonPay
    screen: Screen
    say: Say
    text: str = ""
    page: int = 0


_Action = Callable[["_Desk", _Order], Awaitable[Page]]


class _Desk:
    """Takes the orders of one router.

    :ivar names: the command of each action.
    """

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def handler_of(self, action: str) -> Callable[..., Awaitable[None]]:
        """Return the handler of a command."""

        async def on_command(message: Message, command: CommandObject, bot: Bot, neonpay: NeonPay) -> None:
            assert message.from_user is not None  # the gate has looked
            screen = Screen(message, message.from_user, bot)
            await self._do(_COMMANDS[action], _Order(neonpay, screen, _say(neonpay, screen), command.args or ""))

        return on_command

    async def on_tap(self, query: CallbackQuery, callback_data: AdminTap, bot: Bot, neonpay: NeonPay) -> None:
        """Answer a tap."""
        screen = Screen(query, query.from_user, bot)
        action = _TAPS.get(callback_data.do)
        page = min(max(callback_data.page, 0), MOST_PAGES)
        try:
            if action is not None:
                await self._do(action, _Order(neonpay, screen, _say(neonpay, screen), callback_data.id, page))
        finally:
            await screen.end()

    async def _do(self, action: _Action, order: _Order) -> None:
        screen = order.screen
        try:
            await screen.show(await action(self, order))
        except Refused as refused:
            await screen.end(str(refused))
        except (NeonPayError, TelegramAPIError) as error:
            await screen.show(_failed(order, plain(error, 500)))
        except Exception as error:
            await screen.show(_failed(order, type(error).__name__))
            raise

    def _usage(self, say: Say, action: str) -> Page:
        return _said(self._call(say, action))

    def _call(self, say: Say, action: str) -> str:
        """Return how a command is written."""
        words = f" {say(f'admin_usage_{action}')}" if action in WITH_WORDS else ""
        return f"/{self.names.get(action, action)}{words}"

    async def _menu(self, order: _Order) -> Page:
        say = order.say
        lines = Lines().add(say("admin_title"), bold=True).add("")
        for action in self.names:
            lines.add(self._call(say, action)).add("    ", say(f"admin_does_{action}"))
        keyboard = Keyboard(say).row(
            ("admin_stuck_button", AdminTap(do="stuck")),
            ("admin_balance_button", AdminTap(do="balance")),
        )
        keyboard.row(
            ("admin_days_1_button", AdminTap(do="stages", id="1")),
            ("admin_days_30_button", AdminTap(do="stages", id=str(MONTH))),
            ("admin_reconcile_button", AdminTap(do="recon")),
        )
        return {**lines.content(), "reply_markup": keyboard.markup()}

    # Payments and people

    async def _find(self, order: _Order) -> Page:
        word, _ = first_word(order.text)
        if not word:
            return self._usage(order.say, "find")
        if (user_id := user_in(word)) is not None:
            return await self._user(order, user_id, 0)
        payment = await order.neonpay.get_payment(word)
        return _said(order.say("admin_not_found")) if payment is None else payment_page(order.say, payment)

    async def _user(self, order: _Order, user_id: int, page: int) -> Page:
        found = await order.neonpay.history(user_id, limit=LISTED + 1, offset=page * LISTED)
        return user_page(order.say, user_id, found, page)

    async def _history(self, order: _Order) -> Page:
        return await self._user(order, _user(order), order.page)

    async def _access(self, order: _Order) -> Page:
        user_id = _user(order)
        accesses = await order.neonpay.list_access(user_id)
        subscriptions = await order.neonpay.list_subscriptions(user_id)
        changes = await order.neonpay.list_access_changes(user_id)
        return access_page(order.say, user_id, accesses, subscriptions, changes, order.page)

    async def _payment(self, order: _Order) -> Page:
        return payment_page(order.say, await _payment(order))

    async def _timeline(self, order: _Order) -> Page:
        payment = await _payment(order)
        entries = await order.neonpay.get_timeline(payment.reference or "")
        return timeline_page(order.say, payment, entries, order.page)

    async def _stuck(self, order: _Order) -> Page:
        found = await order.neonpay.stuck_payments(limit=LISTED + 1, offset=order.page * LISTED)
        return stuck_page(order.say, found, order.page)

    # Deeds

    async def _refund(self, order: _Order) -> Page:
        word, rest = first_word(order.text)
        if not word:
            return self._usage(order.say, "refund")
        payment = await order.neonpay.get_payment(word)
        if payment is not None:
            return await ask_refund(order.neonpay, order.screen, order.say, payment, rest[:LONGEST_REASON])
        user, reason = first_word(rest)
        if (user_id := user_in(user)) is None:
            return _said(order.say("admin_not_found_refund"))
        return await ask_unknown_refund(order.neonpay, order.screen, order.say, word, user_id, reason[:LONGEST_REASON])

    async def _redeliver(self, order: _Order) -> Page:
        if not (word := first_word(order.text)[0]):
            return self._usage(order.say, "redeliver")
        try:
            payment = await order.neonpay.redeliver(word)
        except PaymentError:
            found = await order.neonpay.get_payment(word)
            if found is None:
                return _said(order.say("admin_not_found"))
            return payment_page(order.say, found, order.say("admin_no_redelivery"))
        return payment_page(order.say, payment, order.say("admin_redelivered"))

    async def _dismiss(self, order: _Order) -> Page:
        try:
            payment = await order.neonpay.dismiss(order.text)
        except PaymentError:
            return await self._payment(order)  # somebody was a step ahead
        return payment_page(order.say, payment, order.say("admin_dismissed"))

    async def _grant(self, order: _Order) -> Page:
        grant = parse_grant(order.text)
        if grant is None:
            return self._usage(order.say, "grant")
        return await ask_grant(order.neonpay, order.screen, order.say, grant)

    async def _revoke(self, order: _Order) -> Page:
        revoke = parse_revoke(order.text)
        if revoke is None:
            return self._usage(order.say, "revoke")
        return await ask_revoke(order.neonpay, order.screen, order.say, revoke)

    async def _yes(self, order: _Order) -> Page:
        return await answer(order.neonpay, order.screen, order.say, order.text, True)

    async def _no(self, order: _Order) -> Page:
        return await answer(order.neonpay, order.screen, order.say, order.text, False)

    # Money

    async def _balance(self, order: _Order) -> Page:
        ask = getattr(order.screen.bot, "get_my_star_balance", None)  # aiogram 3.21
        return balance_page(order.say, None if ask is None else (await ask()).amount)

    async def _report(self, order: _Order) -> Page:
        word, _ = first_word(order.text)
        if word and not (word.isascii() and word.isdigit() and len(word) < 5 and 1 <= int(word) <= MOST_DAYS):
            return self._usage(order.say, "report")
        return await self._days(order, int(word or MONTH), by_day=False)

    async def _stages(self, order: _Order) -> Page:
        return await self._days(order, _days(order), by_day=False)

    async def _by_day(self, order: _Order) -> Page:
        return await self._days(order, _days(order), by_day=True)

    async def _days(self, order: _Order, days: int, *, by_day: bool) -> Page:
        return report_page(order.say, await order.neonpay.report(days), days, by_day, order.page)

    async def _reconcile(self, order: _Order) -> Page:
        await order.screen.begin(order.say("admin_working"))
        return reconcile_page(order.say, await order.neonpay.reconcile())


_COMMANDS: dict[str, _Action] = {
    "admin": _Desk._menu,
    "find": _Desk._find,
    "refund": _Desk._refund,
    "redeliver": _Desk._redeliver,
    "stuck": _Desk._stuck,
    "balance": _Desk._balance,
    "report": _Desk._report,
    "reconcile": _Desk._reconcile,
    "grant": _Desk._grant,
    "revoke": _Desk._revoke,
}
_TAPS: dict[str, _Action] = {
    "pay": _Desk._payment,
    "time": _Desk._timeline,
    "user": _Desk._history,
    "access": _Desk._access,
    "stuck": _Desk._stuck,
    "refund": _Desk._refund,
    "again": _Desk._redeliver,
    "dismiss": _Desk._dismiss,
    "yes": _Desk._yes,
    "no": _Desk._no,
    "balance": _Desk._balance,
    "stages": _Desk._stages,
    "days": _Desk._by_day,
    "recon": _Desk._reconcile,
}


def _say(neonpay: NeonPay, screen: Screen) -> Say:
    def say(key: str, /, **values: Any) -> str:
        return neonpay.texts.get(key, screen.user.language_code, **values)

    return say


async def _payment(order: _Order) -> PaymentResult:
    payment = await order.neonpay.get_payment(order.text) if order.text else None
    if payment is None:
        raise Refused(order.say("admin_not_found"))
    return payment


def _user(order: _Order) -> int:
    if (user_id := user_in(order.text)) is None:
        raise Refused(order.say("admin_not_found"))
    return user_id


def _days(order: _Order) -> int:
    try:
        return int(order.text)
    except ValueError:
        raise ValidationError("days", f"must be 1-{MOST_DAYS}", order.text) from None


def _said(words: str) -> Page:
    return Lines().add(words).content()


def _failed(order: _Order, error: str) -> Page:
    return {**_said(order.say("admin_failed", error=error)), "reply_markup": order.screen.again}
