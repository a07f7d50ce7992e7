"""Owns pre-checkout queries: asking a bot, its vote, and the 10 seconds it has for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aiogram_neonpay.sandbox.clock import Timer
from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.models import Invoice, Person
from aiogram_neonpay.sandbox.rules import GUESS_PRE_CHECKOUT_QUERY, PRE_CHECKOUT_DEADLINE, PRE_CHECKOUT_RETENTION
from aiogram_neonpay.sandbox.world import BotAccount, World


@dataclass(slots=True, eq=False)
class Checkout:
    """A pre-checkout query on its way to a bot and back: ``vote`` stays ``None`` when no answer came in time.

    ``decided`` is called once, with the vote or at the deadline.
    """

    id: str
    bot_id: int
    user_id: int
    deadline: float
    decided: Callable[[Checkout], None]
    vote: bool | None = None
    error: str | None = None
    timer: Timer | None = None


class Checkouts:
    """All pre-checkout queries of one world that wait for their answers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[str, Checkout] = {}

    def ask(self, bot: BotAccount, person: Person, invoice: Invoice, decided: Callable[[Checkout], None]) -> Checkout:
        """Send a bot a pre-checkout query and have its vote told."""
        world = self._world
        deadline = world.clock.now() + PRE_CHECKOUT_DEADLINE
        checkout = Checkout(world.ids.query_id(), bot.id, person.id, deadline, decided)
        self._open[checkout.id] = checkout
        checkout.timer = world.clock.call_at(deadline, partial(self._decide, checkout))
        world.update(
            bot,
            "pre_checkout_query",
            {
                "id": checkout.id,
                "from": person.as_user(),
                "currency": invoice.currency,
                "total_amount": invoice.amount,
                "invoice_payload": invoice.payload,
            },
            lane=f"pre_checkout:{person.id}",
            lifetime=PRE_CHECKOUT_RETENTION,
        )
        return checkout

    def answer(self, bot: BotAccount, query_id: str, ok: bool, error: str) -> None:
        """Take a bot's answer to a pre-checkout query.

        :raises ApiError: 400 for an unknown, late or repeated answer (a guess).
        """
        checkout = self._open.get(query_id)
        if checkout is None or checkout.bot_id != bot.id or self._world.clock.now() >= checkout.deadline:
            raise refuse(GUESS_PRE_CHECKOUT_QUERY)
        checkout.vote, checkout.error = ok, None if ok else error
        self._decide(checkout)

    def payer_of(self, query_id: str) -> int | None:
        """Return whose checkout a pre-checkout query is about, while it waits for its answer."""
        checkout = self._open.get(query_id)
        return checkout.user_id if checkout else None

    def forget(self, checkout: Checkout) -> None:
        """Stop waiting for an answer: a late one is refused from now on."""
        self._open.pop(checkout.id, None)
        if checkout.timer is not None:
            checkout.timer.cancel()

    def _decide(self, checkout: Checkout) -> None:
        self.forget(checkout)
        checkout.decided(checkout)
