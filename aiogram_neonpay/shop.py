"""What every part of the plugin shares: the catalog, the keys, the bots in hand, the ledger and the clock."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from datetime import datetime, timezone
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.fsm.storage.base import BaseStorage

from aiogram_neonpay.checks import check_stage_id, is_text
from aiogram_neonpay.errors import ConfigurationError, ValidationError
from aiogram_neonpay.ledger import LedgerEngine, open_engine
from aiogram_neonpay.ledger.buyers import GRACE, Buyers
from aiogram_neonpay.ledger.charges import Charges
from aiogram_neonpay.ledger.invoices import StoredInvoices
from aiogram_neonpay.ledger.readings import Readings
from aiogram_neonpay.ledger.stock import Stocks
from aiogram_neonpay.ledger.taps import LastTaps
from aiogram_neonpay.ledger.timed import in_time
from aiogram_neonpay.models import CURRENCY, LegacyInvoice, PaymentResult
from aiogram_neonpay.payload import InvoiceToken, Signer, dump_metadata, looks_ours
from aiogram_neonpay.records import payment_of
from aiogram_neonpay.stages import Catalog, PaymentStage
from aiogram_neonpay.texts import Replaced, Texts
from aiogram_neonpay.timing import LoopTiming, Timing

__all__ = ["Clock", "Legacy", "Shop"]

logger = logging.getLogger("aiogram_neonpay")

Clock = Callable[[], float]
"""Gives the present as Unix seconds."""

Legacy = Callable[[str, int], LegacyInvoice | None]
"""Tells from the payload and the amount of an invoice that is not ours what it was for."""

LONGEST_GRACE = 30 * 86400
"""Seconds."""
KEY_NOTED = 3600.0
"""Seconds between two notes of the key in use."""
KEY_MATTERS = 400 * 86400.0
"""Seconds for which invoices of a key that is not used any more may still be paid, or renewed."""
MIN_SECRET = 16
"""Characters. A shorter secret could be guessed, and with it invoices forged."""


class Shop:
    """The shared state of one :class:`~aiogram_neonpay.NeonPay`.

    :param storage: where payments are kept; the dispatcher's own FSM storage when ``None``.
    :param secret: signs invoices instead of the bot's token, so that they survive a token change.
    :param previous_secrets: still verify: earlier secrets, and earlier tokens of the bot.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        bot: Bot | None = None,
        storage: BaseStorage | None = None,
        secret: str | None = None,
        previous_secrets: Sequence[str] = (),
        clock: Clock | None = None,
        texts: Replaced | None = None,
        legacy: Legacy | None = None,
        grace: float = GRACE,
    ) -> None:
        if isinstance(previous_secrets, str) or not isinstance(previous_secrets, Sequence):
            raise ValidationError("previous_secrets", "must be a sequence of strings", "...")
        for name, value in (("secret", secret), *(("previous_secrets", item) for item in previous_secrets)):
            if value is not None and (not is_text(value) or len(value) < MIN_SECRET):
                raise ValidationError(name, f"must be a string of at least {MIN_SECRET} characters", "...")
        if storage is not None and not isinstance(storage, BaseStorage):
            raise ConfigurationError(f"storage must be an aiogram BaseStorage, not {type(storage).__name__}")
        if clock is not None and not callable(clock):
            raise ConfigurationError(f"clock must be a function that returns Unix seconds, not {type(clock).__name__}")
        if legacy is not None and (not callable(legacy) or inspect.iscoroutinefunction(legacy)):
            raise ConfigurationError(f"legacy must be a plain function, not {legacy!r:.60}: it is asked on the spot")
        if isinstance(grace, bool) or not isinstance(grace, (int, float)) or not 0 <= grace <= LONGEST_GRACE:
            raise ValidationError("grace", f"must be seconds, 0-{LONGEST_GRACE}", grace)
        self.catalog = catalog
        self.grace = float(grace)
        self.legacy = legacy
        self.texts = Texts(texts)
        self.clock: Clock = clock or time.time
        self._own_clock = clock
        self.timing: Timing = LoopTiming()
        self.dispatcher: Dispatcher | None = None
        self._storage = storage
        self._secret = secret
        self._previous_secrets = tuple(previous_secrets)
        self._signers: dict[int, tuple[str, Signer]] = {}
        self._bots: dict[int, Bot] = {}
        # One for each shop: in a process with several, a handler of one may sell through another.
        self._bot_in_hand: ContextVar[Bot | None] = ContextVar("neonpay_bot", default=None)
        self.only_bot: Bot | None = None
        # Whether all that Telegram charged until a moment is known; whoever reads its ledger puts itself here.
        self.is_read: Callable[[Bot, float], Awaitable[bool]] = _never_read
        self._engine: LedgerEngine | None = None
        self._charges: Charges | None = None
        self._buyers: Buyers | None = None
        self._stocks: Stocks | None = None
        self._invoices: StoredInvoices | None = None
        self._readings: Readings | None = None
        self._taps: LastTaps | None = None
        if bot is not None:
            self.meet(bot)

    @contextmanager
    def rehearsing(self, clock: Clock, timing: Timing, storage: BaseStorage) -> Iterator[None]:
        """Live by another clock, with another storage and no bot known yet, and be as before afterwards: for tests.

        The catalog, the texts and the secrets stay.
        """
        before = dict(vars(self))
        self.clock = self._own_clock = clock
        self.timing, self._storage = timing, storage
        self._signers, self._bots, self.only_bot = {}, {}, None
        self._engine = self._charges = self._buyers = self._stocks = None
        self._invoices = self._readings = self._taps = None
        try:
            yield
        finally:
            vars(self).update(before)

    # Bots

    def meet(self, bot: Bot) -> None:
        """Remember a bot that this process acts for."""
        if not isinstance(bot, Bot):
            raise ConfigurationError(f"bot must be an aiogram Bot, not {type(bot).__name__}")
        self._bots[bot.id] = bot
        # With one bot known, nothing must say which is meant, and updates need no context of their own.
        self.only_bot = bot if len(self._bots) == 1 else None

    @property
    def bots(self) -> list[Bot]:
        """The bots that this process acts for."""
        return list(self._bots.values())

    def take_in_hand(self, bot: Bot) -> Token[Bot | None]:
        """Make a bot the one that calls in this context act for, until it is put down."""
        if self._bots.get(bot.id) is not bot:
            self.meet(bot)
        return self._bot_in_hand.set(bot)

    def put_down(self, token: Token[Bot | None]) -> None:
        """Undo :meth:`take_in_hand`."""
        self._bot_in_hand.reset(token)

    def bot(self, chosen: Bot | None = None) -> Bot:
        """Return the bot to act for: the chosen one, the one in hand, or the only one known.

        :raises ConfigurationError: when there is none or no telling which.
        """
        self.require_installed()
        bot = chosen if chosen is not None else self._bot_in_hand.get()
        if isinstance(bot, Bot):
            return bot
        if bot is not None:
            raise ConfigurationError(f"bot must be an aiogram Bot, not {type(bot).__name__}")
        if len(self._bots) == 1:
            return next(iter(self._bots.values()))
        if self._bots:
            raise ConfigurationError(
                f"{len(self._bots)} bots are known and none is chosen: pass bot=..., or call pay.as_(bot).method(...)"
            )
        raise ConfigurationError(
            "no bot is known yet: pass bot=... here or to neonpay_router(..., bot=bot); "
            "inside handlers the bot of the update is used"
        )

    def require_installed(self) -> None:
        """Refuse to sell what nobody would deliver.

        :raises ConfigurationError: when the router was never included and no storage was given.
        """
        if self.dispatcher is None and self._storage is None:
            raise ConfigurationError(
                "this NeonPay was never included in a dispatcher: call dp.include_router(pay) first, "
                "or, in a process without a dispatcher, neonpay_router(..., storage=..., bot=...)"
            )

    def signer(self, bot: Bot) -> Signer:
        """Return the signer of a bot's invoices."""
        known = self._signers.get(bot.id)
        if known is None or known[0] != bot.token:
            keys = [key for key in (self._secret, bot.token) if key is not None]
            signer = Signer(bot.id, keys[0], [*keys[1:], *self._previous_secrets])
            known = self._signers[bot.id] = (bot.token, signer)
        return known[1]

    async def unknown_keys(self, bot: Bot) -> datetime | None:
        """Note with which key invoices are signed now; return until when one was in use that is not known any more."""
        signer, now = self.signer(bot), self.clock()
        await self.readings.open(bot.id, now)
        lost: float | None = None

        def note(known: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal lost
            keys: dict[str, float] = known.get("keys", {})
            lost = max((at for name, at in keys.items() if name not in signer.fingerprints), default=None)
            current = signer.fingerprints[0]
            if now - keys.get(current, 0.0) < KEY_NOTED:
                return None
            return {"keys": {name: at for name, at in {**keys, current: now}.items() if at > now - KEY_MATTERS}}

        await self.readings.change(bot.id, note)
        return None if lost is None else datetime.fromtimestamp(lost, timezone.utc)

    def read_payload(
        self, bot: Bot, payload: str, amount: int, currency: str = CURRENCY
    ) -> tuple[bool, InvoiceToken | None]:
        """Return whether an invoice is ours, made by this plugin or adopted, and what it says if it is genuine."""
        if looks_ours(payload):
            return True, self.signer(bot).verify(payload)
        if self.legacy is None or currency != CURRENCY:
            return False, None
        try:
            adopted = self.legacy(payload, amount)
            if adopted is None:
                return False, None
            if not isinstance(adopted, LegacyInvoice):
                raise ConfigurationError(f"legacy must return a LegacyInvoice or None, not {type(adopted).__name__}")
            stage_id = check_stage_id(adopted.stage_id)
            return True, InvoiceToken(
                "", 0, stage_id, amount, metadata_json=dump_metadata(dict(adopted.metadata or {}))
            )
        except Exception:
            # As before the plugin came: the bot's own handlers get it.
            logger.exception("legacy= failed for an invoice; it is left to the bot")
            return False, None

    # The ledger

    async def stage_of(self, record: dict[str, Any]) -> PaymentStage | None:
        """Return the stage of a recorded charge or invoice as the catalog knows it now."""
        stage_id = record.get("stage")
        return None if stage_id is None else await self.catalog.get(stage_id)

    async def payment(self, record: dict[str, Any], reference: str) -> PaymentResult:
        """Return the payment of a recorded charge; without its stage while a loader cannot be asked."""
        try:
            stage = await self.stage_of(record)
        except Exception:
            logger.exception("the stage loader failed for payment %s", reference)
            stage = None
        return payment_of(record, reference, stage)

    @property
    def engine(self) -> LedgerEngine:
        """The engine on the storage in use, opened at first need."""
        if self._engine is None:
            storage = self._storage
            if storage is None:
                self.require_installed()
                assert self.dispatcher is not None
                storage = self.dispatcher.storage
            self._engine = in_time(open_engine(storage, self._own_clock))
        return self._engine

    @property
    def is_open(self) -> bool:
        """Whether the ledger was needed yet."""
        return self._charges is not None

    @property
    def charges(self) -> Charges:
        """The charges in the ledger."""
        if self._charges is None:
            self._charges = Charges(self.engine, self.clock)
        return self._charges

    @property
    def buyers(self) -> Buyers:
        """What buyers have, in the ledger."""
        if self._buyers is None:
            self._buyers = Buyers(self.engine, self.clock, grace=self.grace)
        return self._buyers

    @property
    def stocks(self) -> Stocks:
        """What is left of limited stages, in the ledger."""
        if self._stocks is None:
            self._stocks = Stocks(self.engine, self.clock)
        return self._stocks

    @property
    def invoices(self) -> StoredInvoices:
        """The stored invoices in the ledger."""
        if self._invoices is None:
            self._invoices = StoredInvoices(self.engine)
        return self._invoices

    @property
    def taps(self) -> LastTaps:
        """The last taps of buyers, in the ledger."""
        if self._taps is None:
            self._taps = LastTaps(self.engine, self.clock)
        return self._taps

    @property
    def readings(self) -> Readings:
        """How far Telegram's own ledger was read."""
        if self._readings is None:
            self._readings = Readings(self.engine)
        return self._readings


async def _never_read(bot: Bot, moment: float) -> bool:
    """Stand in for Telegram's own ledger where nobody reads it: what is known is all there is."""
    return True
