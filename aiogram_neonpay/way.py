"""The way of an update through the dispatcher: past everything of the bot's, or straight to us where nothing stands.

aiogram's own way costs as much as all of ours, most of it to compose chains of middlewares. A bot that put none on the
way cannot tell the difference, so its payments and checkouts take the short one. What is the same on both: the error
handlers, the FSM context, the isolation lock, and the middlewares of the routers that hold typed handlers.
"""

from __future__ import annotations

from typing import Any

from aiogram import Dispatcher
from aiogram.dispatcher.event.telegram import TelegramEventObserver
from aiogram.fsm.middleware import FSMContextMiddleware
from aiogram.types import Message, TelegramObject, Update

from aiogram_neonpay.attempts import ATTEMPT, Attempt
from aiogram_neonpay.failures import rejection_of
from aiogram_neonpay.hooks import MessageHooks, Next, keeping_outcome
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.routers import AskForUpdates

__all__ = ["PURCHASE", "Way"]

PURCHASE = "neonpay_purchase"
"""Key under which the update that told of paid media travels with the message that carries the sale."""
MEDIA = "purchased_paid_media"


class Way:
    """Carries updates from the plugin's hook on ``update`` to those who may hear them.

    :param hook: that hook; what stands before it has run already.
    """

    def __init__(self, hook: Any) -> None:
        self._hook = hook
        self._message_hooks: dict[str, MessageHooks] = {}

    def is_clear(self, dispatcher: Dispatcher, name: str) -> bool:
        """Whether nothing of the bot stands between our hook and the root's handlers of ``name``."""
        outer = dispatcher.update.outer_middleware
        observer = dispatcher.observers[name]
        return (
            outer[-1] is dispatcher.fsm
            and outer[-2] is self._hook
            and type(outer[-1]) is FSMContextMiddleware
            and type(dispatcher) is Dispatcher
            and not len(dispatcher.update.middleware)
            and not len(observer.outer_middleware)
            and not len(observer.middleware)
            and not observer._handler.filters
        )

    async def carry(self, handler: Next, update: Update, attempt: Attempt, data: dict[str, Any]) -> Any:
        """Let the bot have a message that tells of money, with the payment in its handlers' reach."""
        event = attempt.event
        data[ATTEMPT] = attempt
        data["stage"] = event.stage
        if isinstance(event, PaymentResult):
            data["payment"] = event
        name = "message" if update.message is not None else "business_message"
        dispatcher = attempt.root
        assert isinstance(dispatcher, Dispatcher)
        token = keeping_outcome.set(True)
        try:
            if attempt.candidates and not attempt.before_plain and self.is_clear(dispatcher, name):

                async def straight(update: TelegramObject, data: dict[str, Any]) -> Any:
                    return await self._straight(dispatcher, update, attempt, name, data)

                response = await dispatcher.fsm(straight, update, data)
            else:
                with self._hooks_on(dispatcher, name):
                    response = await handler(update, data)
            if PURCHASE in data and self._has_plain_ears(attempt):
                response = await self._carry_purchase(dispatcher, handler, data.pop(PURCHASE), attempt, data)
            return response
        except Exception as error:
            if attempt.error is None or rejection_of(error) is None:
                raise
            return None
        finally:
            keeping_outcome.reset(token)

    async def _straight(
        self, dispatcher: Dispatcher, update: Any, attempt: Attempt, name: str, data: dict[str, Any]
    ) -> Any:
        """Give a payment to typed handlers at once; if none takes it, let it go aiogram's own way to the others."""
        message: Message = getattr(update, name)
        given = {**data, "event_update": update}
        attempt.reached = True
        if attempt.entering is not None:
            await attempt.enter(message, given)
            data["raw_state"] = given.get("raw_state")
        if await attempt.run_typed(message, name, given):
            if attempt.error is None and not attempt.stopped:
                await attempt.run_listeners(message, name, given)
            return attempt.result
        attempt.candidates.clear()  # they were asked
        with self._hooks_on(dispatcher, name):
            return await dispatcher.update.trigger(update, **data)

    def _has_plain_ears(self, attempt: Attempt) -> bool:
        """Whether plain handlers of paid media are to have a sale: typed ones left it, and there are some."""
        if attempt.error is not None or attempt.stopped or not attempt.reached or not attempt.plain:
            return False
        if attempt.is_handled and not attempt.before_plain:
            return False
        return any(_is_heard(router.observers[MEDIA]) for router in attempt.root.chain_tail)

    async def _carry_purchase(
        self, dispatcher: Dispatcher, handler: Next, update: Update, attempt: Attempt, data: dict[str, Any]
    ) -> Any:
        """Let the bot's own handlers of ``purchased_paid_media`` have a sale; listeners have heard it."""
        attempt.candidates.clear()
        attempt.reached = attempt.unhandled = False
        with self._hooks_on(dispatcher, MEDIA):
            return await handler(update, data)

    def _hooks_on(self, dispatcher: Dispatcher, name: str) -> MessageHooks:
        hooks = self._message_hooks.get(name)
        if hooks is None:
            hooks = self._message_hooks[name] = MessageHooks(dispatcher, name)
        return hooks


def _is_heard(observer: TelegramEventObserver) -> bool:
    return any(type(handler) is not AskForUpdates for handler in observer.handlers)
