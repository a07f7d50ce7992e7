"""The two ways to make a :class:`NeonPay`: as a router, and as NEONPAY's documents do it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aiogram import Bot, Router
from aiogram.fsm.storage.base import BaseStorage

from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.delivery import Propagate
from aiogram_neonpay.errors import ConfigurationError
from aiogram_neonpay.ledger.buyers import GRACE
from aiogram_neonpay.promo import PromoCode
from aiogram_neonpay.reconcile import RECONCILE_EVERY
from aiogram_neonpay.retries import RETRIES
from aiogram_neonpay.shop import Clock, Legacy
from aiogram_neonpay.stages import StageSource, Tidy
from aiogram_neonpay.texts import Replaced

if TYPE_CHECKING:
    from aiogram_neonpay.alerts import Alerts
    from aiogram_neonpay.prices import PriceBook

__all__ = ["create_neonpay", "neonpay_router"]


def neonpay_router(
    stages: StageSource = None,
    *,
    bot: Bot | None = None,
    storage: BaseStorage | None = None,
    secret: str | None = None,
    previous_secrets: Sequence[str] = (),
    clock: Clock | None = None,
    texts: Replaced | None = None,
    propagate: Propagate = "unhandled",
    retries: Sequence[float] = RETRIES,
    reconcile_every: float | None = RECONCILE_EVERY,
    legacy: Legacy | None = None,
    grace: float = GRACE,
    tidy: Tidy = "keep",
    thank_you: str | bool = False,
    promos: Mapping[str, PromoCode] | None = None,
    prices: PriceBook | None = None,
    alerts: int | str | Alerts | None = None,
) -> NeonPay:
    """Return a router that sells; ``dp.include_router(pay)`` installs it.

    :param stages: what is sold, by id (1-64 ASCII letters, digits, ``_ - .``), or an async function
        ``(stage_id) -> PaymentStage | None`` for a catalog kept elsewhere.
    :param bot: a bot to act for before its first update, such as in a process without a dispatcher.
    :param storage: where payments are kept; the dispatcher's FSM storage when omitted.
    :param secret: signs invoices, at least 16 characters; a key derived from the bot's token when omitted. With it,
        invoices survive a change of the token.
    :param previous_secrets: earlier secrets, or earlier tokens of the bot, whose invoices are still accepted.
    :param clock: gives the present as Unix seconds; ``time.time`` when omitted.
    :param texts: sentences to replace, by language code and key, or a folder of gettext catalogs (``docs/texts.md``).
    :param propagate: ``"unhandled"`` gives plain message handlers the payments that no typed handler took,
        ``"always"`` all of them.
    :param retries: seconds, the longest pause after each failed attempt to deliver; after as many the charge is stuck.
    :param reconcile_every: seconds between two readings of Telegram's own ledger, at least 60; ``None``: only when
        :meth:`NeonPay.reconcile` is called.
    :param legacy: adopts invoices made before the plugin came: given the payload and the amount of a payment or
        checkout that is not ours, it returns a :class:`LegacyInvoice`, or ``None`` to leave it to the bot.
    :param grace: seconds after the end of a subscription's period for which its renewal is waited for, up to 30 days:
        so long the access holds, and ``subscription_expired`` waits.
    :param tidy: what becomes of an invoice message and its prompts once it is paid: ``"keep"`` leaves them,
        ``"delete"`` deletes them, ``"receipt"`` puts a receipt in their place.
    :param thank_you: a text that every buyer gets once a payment was delivered, or ``True`` for the built-in one.
    :param promos: promo codes, by code; ``create_promo`` makes others while the bot runs.
    :param prices: what stages of ``price=None`` cost in money, and what a Star is worth: :class:`PriceBook`.
    :param alerts: a chat that is told what needs a person: payments that are stuck or unmatched, refunds that fail,
        findings of reconciliation, a negative balance. Its id or ``@username``, or :class:`Alerts` to choose more.
    :raises ConfigurationError: when ``stages`` or ``storage`` are of the wrong kind.
    :raises ValidationError: for a bad stage id, secret, schedule or pause.
    """
    return NeonPay(
        stages,
        bot=bot,
        storage=storage,
        secret=secret,
        previous_secrets=previous_secrets,
        clock=clock,
        texts=texts,
        propagate=propagate,
        retries=retries,
        reconcile_every=reconcile_every,
        legacy=legacy,
        grace=grace,
        tidy=tidy,
        thank_you_message=thank_you,
        promos=promos,
        prices=prices,
        alerts=alerts,
    )


def create_neonpay(
    bot_instance: Bot,
    thank_you_message: str | Router | None = None,
    dispatcher: Router | None = None,
    *,
    stages: StageSource = None,
    storage: BaseStorage | None = None,
    enable_logging: bool = True,
    max_stages: int = 100,
) -> NeonPay:
    """Return a :class:`NeonPay` in the manner of NEONPAY's documents, included in the dispatcher if one is given.

    :param bot_instance: an aiogram ``Bot``.
    :param thank_you_message: a text that every buyer gets once a payment was delivered; none when omitted. Their README
        passes the dispatcher here, so a router is taken for it.
    :param dispatcher: the dispatcher, or a router below it; without it call ``dp.include_router(neonpay)`` yourself.
    :param enable_logging: ``False`` silences the logger ``aiogram_neonpay`` below errors.
    :param max_stages: how many stages the catalog may hold.
    :raises ConfigurationError: for a bot of another library.
    """
    if not isinstance(bot_instance, Bot):
        raise ConfigurationError(
            f"create_neonpay needs an aiogram Bot, not {type(bot_instance).__module__}.{type(bot_instance).__name__}"
        )
    if isinstance(thank_you_message, Router):
        thank_you_message, dispatcher = None, thank_you_message
    if not enable_logging:
        logging.getLogger("aiogram_neonpay").setLevel(logging.ERROR)
    pay = NeonPay(stages, bot=bot_instance, storage=storage, thank_you_message=thank_you_message, max_stages=max_stages)
    if dispatcher is not None:
        dispatcher.include_router(pay)
    return pay
