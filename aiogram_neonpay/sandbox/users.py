"""Owns `SandboxUser`, with which Python code acts as a person: writing, tapping, paying, inline mode, blocking."""

from __future__ import annotations

from typing import Any

from aiogram_neonpay.sandbox import ledger, people
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.methods.inline import send_result
from aiogram_neonpay.sandbox.models import Chat, ChatMessage, Invoice, Json, Message, PersonRow, Receipt, Subscription
from aiogram_neonpay.sandbox.payments import Payments
from aiogram_neonpay.sandbox.presence import PATIENCE, SandboxGroup
from aiogram_neonpay.sandbox.sharing import Sharing
from aiogram_neonpay.sandbox.transcript import (
    chat_message,
    find_button,
    find_reply_button,
    inline_rows,
    meant_button,
    newest_invoice,
    shown_buttons,
    shown_invoice,
)
from aiogram_neonpay.sandbox.world import World

#: How long a person waits for a newer invoice before paying an older one, in real seconds.
SECOND_LOOK = 1.0


class SandboxUser(Sharing):
    """A person in the sandbox, acted by a test.

    ``chat`` parameters name a group (a :class:`SandboxGroup` or its id); without one the person's private
    chat with the bot is meant. ``bot`` (a username, a token or an id) is needed only when there are several.
    """

    def __init__(self, world: World, payments: Payments, person_id: int) -> None:
        super().__init__(world, person_id)
        self._payments = payments

    @property
    def balance(self) -> int:
        """The person's Stars."""
        return self._person.stars

    @property
    def history(self) -> list[PersonRow]:
        """The changes of the person's balance, oldest first."""
        return list(self._person.history)

    def messages(self, chat: SandboxGroup | int | None = None, *, bot: str | int | None = None) -> list[ChatMessage]:
        """Return the transcript of a chat, oldest first."""
        return [chat_message(message, self.id) for message in self._chat(chat, bot).messages.values()]

    async def send(
        self,
        text: str,
        *,
        chat: SandboxGroup | int | None = None,
        bot: str | int | None = None,
        reply_to: ChatMessage | None = None,
    ) -> ChatMessage:
        """Write a message; the bot's update is queued when this returns.

        :param reply_to: the message of this chat that it answers.
        :raises SandboxError: for an empty or over-long text, or a message that is not in this chat.
        """
        self._acted = self._world.last_order
        place = self._chat(chat, bot)
        replied = None if reply_to is None else place.messages.get(reply_to.id)
        if reply_to is not None and replied is None:
            raise SandboxError(f"there is no message {reply_to.id} in the chat to reply to")
        return chat_message(people.write(self._world, self._person, place, text, replied))

    async def tap(
        self,
        button: str,
        *,
        chat: SandboxGroup | int | None = None,
        bot: str | int | None = None,
        message: ChatMessage | None = None,
        timeout: float = PATIENCE,
    ) -> str | None:
        """Tap a button whose text is ``button`` or contains it (in any case), waiting for it to appear.

        The newest message that has such an inline button is meant, or ``message``; failing that, the reply
        keyboard, whose buttons write their text, or share the person's contact or location. An inline button waits
        for ``answerCallbackQuery``; a link to a bot's ``start`` is followed.

        :param timeout: real seconds to wait for the button, and again for the answer.
        :return: the text of the callback answer; ``None`` if it has none, never came, or was not asked for.
        :raises SandboxError: when no such button appears, or it pays (then :meth:`pay` is meant).
        """
        chats = self._chats(chat, bot)

        def inline() -> tuple[Message, Json] | None:
            return find_button(chats, button) if message is None else self._button_of(message, button)

        def reply() -> tuple[Chat, Json] | None:
            return find_reply_button(chats, button) if message is None else None

        await self._wait(lambda: (inline() or reply()) is not None, timeout)
        acted, self._acted = self._acted, self._world.last_order
        found = inline()
        if found is not None:
            return await self._press(*found, timeout)
        typed = reply()
        if typed is None:
            self._acted = acted
            others = f", but {shown}" if (shown := ", ".join(map(repr, shown_buttons(chats)))) else ""
            raise SandboxError(f"{self.name} sees no button with {button!r}{others}{self._last_words(chats)}")
        people.press_reply(self._world, self._person, *typed)
        return None

    async def pay(
        self,
        invoice: ChatMessage | Any | None = None,
        *,
        link: str | None = None,
        payload: str | None = None,
        chat: SandboxGroup | int | None = None,
        bot: str | int | None = None,
        timeout: float = PATIENCE,
    ) -> Receipt:
        """Open an invoice, confirm, and wait for the outcome.

        Without arguments the newest invoice message is paid, or the newest with a button that links to an invoice.
        One that came after the person's last message or tap is waited for; if none comes within a second, an older one
        is paid.

        :param invoice: a :class:`ChatMessage` or an aiogram ``Message``.
        :param link: an invoice link or its slug.
        :param payload: what the bot wrote into the invoice: the newest message with it that the person sees,
            else the newest link.
        :param timeout: real seconds to wait for an invoice to appear.
        :raises SandboxError: when there is no such invoice.
        """
        message: Message | None = None
        if link is not None:
            content = people.linked_invoice(self._world, link)
        elif payload is not None:
            content, message = await self._about(payload, self._chats(chat, bot), timeout)
        else:
            given = self._given(invoice) if invoice is not None else None
            message = given or await self._offered(self._chats(chat, bot), timeout)
            content = self._invoice_of(message)
        # A message that only links to its invoice does not become a receipt.
        paid = message if message is not None and message.invoice is not None else None
        form = self._payments.open_form(self._person, content, paid)
        return await self._payments.submit(self._person.id, form.id)

    async def inline(self, text: str = "", *, bot: str | int | None = None, timeout: float = PATIENCE) -> list[Json]:
        """Type an inline query and return the results the bot offers."""
        query = people.ask_inline(self._world, self._person, self._bot(bot), text)
        await self._wait(lambda: query.results is not None, timeout)
        return list(query.results or [])

    async def send_inline(
        self,
        result_id: str,
        *,
        chat: SandboxGroup | int | None = None,
        bot: str | int | None = None,
    ) -> ChatMessage:
        """Send one result of the person's last inline query into a chat."""
        account = self._bot(bot)
        queries = [
            query
            for query in self._world.inline_queries.values()
            if query.user_id == self.id and query.bot_id == account.id
        ]
        if not queries:
            raise SandboxError(f"{self.name} has asked no inline query yet")
        self._acted = self._world.last_order
        target = self._chat(chat, bot)
        return chat_message(send_result(self._world, self._person, target, queries[-1], result_id))

    def block(self, *, bot: str | int | None = None) -> None:
        """Block the bot: it gets 403 until the person unblocks it or writes."""
        people.block(self._world, self._chat(None, bot), self._person, True)

    def unblock(self, *, bot: str | int | None = None) -> None:
        """Unblock the bot."""
        people.block(self._world, self._chat(None, bot), self._person, False)

    def top_up(self, stars: int) -> None:
        """Buy Stars, as in Telegram's own shop."""
        if stars <= 0:
            raise SandboxError(f"a top-up is at least 1 Star, not {stars}")
        ledger.top_up(self._world, self._person, stars)

    def subscriptions(self, *, bot: str | int | None = None) -> list[Subscription]:
        """Return the person's subscriptions, to every bot or to one, in the order in which they began.

        Those that are over stay in the list; each shows how it stands now (``state``, ``expiration_date``).
        """
        bot_id = None if bot is None else self._bot(bot).id
        return self._payments.subscriptions.of(user_id=self.id, bot_id=bot_id)

    def cancel_subscription(
        self, subscription: Subscription | Receipt | str | None = None, *, payload: str | None = None
    ) -> Subscription:
        """Cancel a subscription: it will not be renewed, its paid period runs on, and the bot is told.

        :param subscription: which one: itself, a receipt or a charge id of it; by default the only one that can
            be canceled.
        :param payload: the only one with what the bot wrote into the invoice.
        :raises SandboxError: when there is none or several, or it is over or canceled already.
        """
        book = self._payments.subscriptions
        found = book.pick(self.id, subscription, payload, lambda item: not item.over and not item.canceled)
        book.cancel(found)
        return found

    def restore_subscription(
        self, subscription: Subscription | Receipt | str | None = None, *, payload: str | None = None
    ) -> Subscription:
        """Re-enable a canceled subscription before its period ends; nothing is charged now, and the bot is told.

        Parameters are those of :meth:`cancel_subscription`.

        :raises SandboxError: when there is none or several, it is not canceled, it is over, or the bot has
            canceled it and not allowed the person to re-enable it.
        """
        book = self._payments.subscriptions
        found = book.pick(self.id, subscription, payload, lambda item: not item.over and item.canceled)
        book.restore(found)
        return found

    # --- finding things ---

    def _invoice_of(self, message: Message) -> Invoice:
        invoice = shown_invoice(message, self._world.links)
        if invoice is None:
            raise SandboxError(f"the message {message.id} is no invoice, and no button of it links to one")
        return invoice

    async def _offered(self, chats: list[Chat], timeout: float) -> Message:
        links = self._world.links
        older = newest_invoice(chats, links)
        patience = timeout if older is None else min(SECOND_LOOK, timeout)
        await self._wait(lambda: newest_invoice(chats, links, self._acted) is not None, patience)
        found = newest_invoice(chats, links, self._acted) or newest_invoice(chats, links)
        if found is None:
            raise SandboxError(f"{self.name} sees no invoice{self._last_words(chats)}")
        return found

    async def _about(self, payload: str, chats: list[Chat], timeout: float) -> tuple[Invoice, Message | None]:
        def find() -> tuple[Invoice, Message | None] | None:
            message = newest_invoice(chats, self._world.links, payload=payload)
            if message is not None:
                return self._invoice_of(message), message
            links = [invoice for invoice in self._world.links.values() if invoice.payload == payload]
            return (links[-1], None) if links else None

        await self._wait(lambda: find() is not None, timeout)
        found = find()
        if found is None:
            raise SandboxError(f"{self.name} sees no invoice with the payload {payload!r}, and no link has it")
        return found

    def _button_of(self, message: ChatMessage, text: str) -> tuple[Message, Json] | None:
        target = self._given(message)
        button = meant_button(inline_rows(target), text)
        return None if button is None else (target, button)

    async def _press(self, message: Message, button: Json, timeout: float) -> str | None:
        if button.get("pay"):
            raise SandboxError(f"the button {button['text']!r} pays: use pay()")
        if button.get("callback_data"):
            query = people.tap(self._world, self._person, message, button["callback_data"])
            await self._wait(lambda: query.answered, timeout)
            return query.text
        followed = people.deep_link(self._world, button.get("url", ""))
        if followed is not None:
            bot, command = followed
            people.write(self._world, self._person, self._world.private_chat(bot.id, self.id), command)
        return None
