"""What an admin confirms before it is done: refunds, and access that is granted or taken by hand.

The question is written into the ledger, so it is answered once, by whom was asked, on whichever worker.
"""

from __future__ import annotations

import logging
from typing import Any

from aiogram_neonpay.checks import check_access_name, check_count, check_seconds
from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.errors import NoAccessError, PaymentNotFoundError, RefundError
from aiogram_neonpay.ledger.confirmations import Confirmations
from aiogram_neonpay.models import PaymentResult, PaymentStatus
from aiogram_neonpay.stages import MAX_USES
from aiogram_neonpay.storefront.admin.buttons import AdminTap, Keyboard
from aiogram_neonpay.storefront.admin.commands import Grant, Revoke
from aiogram_neonpay.storefront.admin.pages import Page, Say, payment_page, sold
from aiogram_neonpay.storefront.admin.screen import Screen
from aiogram_neonpay.wording import Code, Lines, plain

__all__ = ["Refused", "answer", "ask_grant", "ask_refund", "ask_revoke", "ask_unknown_refund"]

logger = logging.getLogger("aiogram_neonpay")

DAY = 86400


class Refused(Exception):
    """What is said to an admin instead of doing something."""


async def ask_refund(neonpay: NeonPay, screen: Screen, say: Say, payment: PaymentResult, reason: str) -> Page:
    """Ask whether to give the Stars of a payment back."""
    if payment.status is PaymentStatus.REFUNDED:
        return payment_page(say, payment, say("admin_refunded_before"))
    reference = payment.reference or ""
    lines = Lines().add(say("admin_ask_refund"), bold=True).add(sold(say, payment)).add(Code(reference))
    lines.add(say("admin_user", user=payment.user_id))
    return await _ask(neonpay, screen, say, lines, {"do": "refund", "id": reference}, reason)


async def ask_unknown_refund(
    neonpay: NeonPay, screen: Screen, say: Say, charge: str, user_id: int, reason: str
) -> Page:
    """Ask whether to refund a charge that the ledger does not know, such as one from before the plugin came."""
    lines = (
        Lines().add(say("admin_ask_refund"), bold=True).add(say("admin_unknown_charge")).add(Code(plain(charge, 400)))
    )
    lines.add(say("admin_user", user=user_id))
    return await _ask(neonpay, screen, say, lines, {"do": "refund", "id": charge, "user": user_id}, reason)


async def ask_grant(neonpay: NeonPay, screen: Screen, say: Say, grant: Grant) -> Page:
    """Ask whether to give somebody access."""
    check_access_name("access", grant.access)
    check_seconds("access_for", grant.seconds)
    check_count("uses", grant.uses, MAX_USES)
    lines = Lines().add(say("admin_ask_grant"), bold=True)
    lines.add(plain(grant.access, 64)).add(say("admin_user", user=grant.user))
    lines.add(say("admin_for_ever") if grant.seconds is None else _span(say, grant.seconds))
    if grant.uses is not None:
        lines.add(say("uses", n=grant.uses))
    _warn_of_unknown(neonpay, say, lines, grant.access)
    deed = {"do": "grant", **grant._asdict()}
    return await _ask(neonpay, screen, say, lines, deed, grant.reason or "")


async def ask_revoke(neonpay: NeonPay, screen: Screen, say: Say, revoke: Revoke) -> Page:
    """Ask whether to take an access from somebody."""
    check_access_name("access", revoke.access)
    lines = Lines().add(say("admin_ask_revoke"), bold=True)
    lines.add(plain(revoke.access, 64)).add(say("admin_user", user=revoke.user))
    _warn_of_unknown(neonpay, say, lines, revoke.access)
    return await _ask(neonpay, screen, say, lines, {"do": "revoke", **revoke._asdict()}, revoke.reason or "")


async def _ask(neonpay: NeonPay, screen: Screen, say: Say, lines: Lines, deed: dict[str, Any], reason: str) -> Page:
    if reason:
        lines.add(say("admin_reason", reason=plain(reason, 400)))
    deed["reason"] = f"admin {screen.user.id}: {reason}".rstrip(": ")
    name = await _questions(neonpay).ask(screen.bot.id, screen.user.id, deed)
    keyboard = Keyboard(say).row(_yes(say, deed, name), ("admin_no_button", AdminTap(do="no", id=name)))
    return {**lines.content(), "reply_markup": keyboard.markup()}


def _yes(say: Say, deed: dict[str, Any], name: str) -> tuple[str, AdminTap]:
    return f"admin_yes_{deed['do']}_button", AdminTap(do="yes", id=name)


async def answer(neonpay: NeonPay, screen: Screen, say: Say, name: str, yes: bool) -> Page:
    """Do what was asked, or not; once.

    While it is done, and where it fails, the button stays: should this process die on the way, it does the same again.
    A refund and a grant of one question are one however often they are done.

    :raises Refused: when somebody else was asked, it is being done, it was answered, or that is too long ago.
    """
    questions, bot_id = _questions(neonpay), screen.bot.id
    given = await questions.answer(bot_id, name, screen.user.id, yes)
    if given.deed is None:
        raise Refused(say(f"admin_question_{given.refusal}"))
    if not yes:
        return await _leave(neonpay, say, given.deed)
    again = Keyboard(say).row(_yes(say, given.deed, name)).markup()
    await screen.begin(say("admin_working_on"), again)
    done = False
    try:
        page = await _do(neonpay, say, name, given.deed)
        done = True
    finally:
        try:
            await questions.end(bot_id, name, given.taker, done=done)
        except Exception as error:
            logger.warning("bot %s: how the order %s of an admin ended is not written down (%s)", bot_id, name, error)
    return page


async def _do(neonpay: NeonPay, say: Say, name: str, deed: dict[str, Any]) -> Page:
    if deed["do"] == "refund":
        return await _refund(neonpay, say, deed)
    user_id, access, reason = deed["user"], deed["access"], deed["reason"]
    if deed["do"] == "revoke":
        had = await neonpay.revoke_access(user_id, access, reason=reason)
        return _said(say("admin_revoked" if had else "admin_had_none", user=user_id, access=plain(access, 64)))
    try:
        await neonpay.grant_access(
            user_id, access, access_for=deed["seconds"], uses=deed["uses"], reason=reason, key=f"admin.{name}"
        )
    except NoAccessError:
        return _said(say("admin_had_none", user=user_id, access=plain(access, 64)))
    return _said(say("admin_granted", user=user_id, access=plain(access, 64)))


async def _leave(neonpay: NeonPay, say: Say, deed: dict[str, Any]) -> Page:
    """Return what is shown when nothing is to be done: for a refund the payment, where the question came from."""
    found = await neonpay.get_payment(deed["id"]) if deed["do"] == "refund" else None
    notice = say("admin_not_done")
    return _said(notice) if found is None else payment_page(say, found, notice)


async def _refund(neonpay: NeonPay, say: Say, deed: dict[str, Any]) -> Page:
    try:
        payment = await neonpay.refund(deed["id"], deed["reason"], user_id=deed.get("user"))
    except PaymentNotFoundError:
        return _said(say("admin_not_found"))
    except RefundError as error:
        key = "admin_refund_refused" if error.is_final else "admin_refund_waits"
        notice = say(key, error=plain(error, 300))
        found = await neonpay.get_payment(deed["id"])
        return _said(notice) if found is None else payment_page(say, found, notice)
    if payment.reference is None:  # the ledger does not know it
        return _said(say("admin_refunded"))
    return payment_page(say, payment, say("admin_refunded"))


def _questions(neonpay: NeonPay) -> Confirmations:
    shop = neonpay._shop
    return Confirmations(shop.engine, shop.clock)


def _warn_of_unknown(neonpay: NeonPay, say: Say, lines: Lines, access: str) -> None:
    if access not in {stage.access for stage in neonpay.list_payment_stages().values()}:
        lines.add("⚠ ", say("admin_unknown_access"))


def _span(say: Say, seconds: int) -> str:
    return say("days", n=seconds // DAY) if seconds % DAY == 0 else say("hours", n=seconds // 3600)


def _said(words: str) -> Page:
    return Lines().add(words).content()
