"""Owns what a person does with content: sending files and places, forwarding, opening links, buying paid media."""

from __future__ import annotations

from typing import Any

from aiogram_neonpay.sandbox import arguments, people, unlocking
from aiogram_neonpay.sandbox.errors import ArgumentError, SandboxError
from aiogram_neonpay.sandbox.files import FileKind, UnusableFile, Upload
from aiogram_neonpay.sandbox.images import plain_png
from aiogram_neonpay.sandbox.media import CAPTIONED, FILE_FIELDS, message_fields
from aiogram_neonpay.sandbox.models import Chat, ChatMessage, Json, Receipt
from aiogram_neonpay.sandbox.presence import PATIENCE, Presence, SandboxGroup
from aiogram_neonpay.sandbox.rules import CAPTION_CHARACTERS, UPLOAD_BYTES
from aiogram_neonpay.sandbox.transcript import chat_message, newest_media

#: The colour of the picture that is sent when no other is given.
_COLOUR = (51, 144, 236)


class Sharing(Presence):
    """A person who shares more than text."""

    async def send_file(
        self,
        content: bytes | None = None,
        *,
        kind: FileKind = "photo",
        name: str | None = None,
        caption: str = "",
        chat: SandboxGroup | int | None = None,
        bot: str | int | None = None,
    ) -> ChatMessage:
        """Send a photo or another file; the bot's update is queued when this returns.

        :param content: the file, at most 50 MB; a plain picture or a few bytes by default.
        :param kind: ``photo``, ``document``, ``video``, ``animation``, ``audio``, ``voice``, ``video_note`` or
            ``sticker``.
        :param name: the file's name.
        :param caption: at most 1024 characters; video notes and stickers have none.
        :raises SandboxError: for a file Telegram would not take.
        """
        arguments.one_of("kind", kind, FILE_FIELDS)
        if len(caption) > CAPTION_CHARACTERS:
            raise ArgumentError(f"caption must have at most {CAPTION_CHARACTERS} characters, not {len(caption)}")
        if caption and kind not in CAPTIONED:
            raise ArgumentError(f"caption does not go with kind {kind!r}")
        if content is None:
            content = plain_png(320, 240, _COLOUR) if kind in ("photo", "sticker") else kind.encode()
        if not 1 <= len(content) <= UPLOAD_BYTES:
            raise ArgumentError(f"content must have 1 to {UPLOAD_BYTES} bytes, not {len(content)}")
        target = self._chat(chat, bot)
        try:
            file = self._world.files.add(kind, Upload(content, name or ""))
        except UnusableFile as error:
            raise SandboxError(f"Telegram does not take this {kind}: {error}") from None
        return self._posted(target, message_fields(file) | people.caption_of(caption))

    async def send_contact(
        self,
        phone_number: str | None = None,
        first_name: str | None = None,
        *,
        chat: SandboxGroup | int | None = None,
        bot: str | int | None = None,
    ) -> ChatMessage:
        """Share a contact: the person's own by default."""
        own = people.own_contact(self._person)
        contact = own if phone_number is None else {"phone_number": phone_number, "first_name": first_name or "Contact"}
        return self._posted(self._chat(chat, bot), {"contact": contact})

    async def send_location(
        self,
        latitude: float,
        longitude: float,
        *,
        chat: SandboxGroup | int | None = None,
        bot: str | int | None = None,
    ) -> ChatMessage:
        """Share a point on the map, in degrees."""
        for label, value, furthest in (("latitude", latitude, 90), ("longitude", longitude, 180)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not -furthest <= value <= furthest:
                raise ArgumentError(f"{label} must be a number from -{furthest} to {furthest}, not {value!r}")
        location = {"latitude": float(latitude), "longitude": float(longitude)}
        return self._posted(self._chat(chat, bot), {"location": location})

    async def forward(
        self,
        message: ChatMessage | Any,
        *,
        chat: SandboxGroup | int | None = None,
        bot: str | int | None = None,
    ) -> ChatMessage:
        """Forward a message that the person sees into a chat.

        An invoice's copy can be paid, unless the invoice has a ``start_parameter``: then its button leads to the bot.

        :raises SandboxError: for a message that cannot be forwarded.
        """
        self._acted = self._world.last_order
        copy = people.forward(self._world, self._person, self._given(message), self._chat(chat, bot))
        return chat_message(copy, self.id)

    async def open_link(self, link: str) -> ChatMessage:
        """Open ``https://t.me/<bot>?start=<value>`` and press Start; invoice links are for ``pay(link=...)``.

        :raises SandboxError: for a link to no bot of this sandbox.
        """
        followed = people.deep_link(self._world, link)
        if followed is None:
            raise SandboxError(f"{link!r} leads to no bot of this sandbox")
        self._acted = self._world.last_order
        bot, command = followed
        chat = self._world.private_chat(bot.id, self.id)
        return chat_message(people.write(self._world, self._person, chat, command))

    async def unlock(
        self,
        message: ChatMessage | Any | None = None,
        *,
        chat: SandboxGroup | int | None = None,
        bot: str | int | None = None,
        timeout: float = PATIENCE,
    ) -> Receipt:
        """Buy the media of a message: by default the newest that the person has not bought, which is waited for.

        The bot is not asked. It gets `purchased_paid_media` if it gave the media a payload.

        :param message: a :class:`ChatMessage` or an aiogram ``Message``.
        :param timeout: real seconds to wait for media to appear.
        :return: with the code ``BALANCE_TOO_LOW`` or ``MEDIA_ALREADY_PAID`` when nothing was charged.
        :raises SandboxError: when there is nothing to buy.
        """
        if message is not None:
            return unlocking.buy_media(self._world, self._person, self._given(message))
        chats = self._chats(chat, bot)
        await self._wait(lambda: newest_media(chats, self.id) is not None, timeout)
        found = newest_media(chats, self.id)
        if found is None:
            raise SandboxError(f"{self.name} sees no paid media to buy{self._last_words(chats)}")
        return unlocking.buy_media(self._world, self._person, found)

    def _posted(self, target: Chat, fields: Json) -> ChatMessage:
        self._acted = self._world.last_order
        return chat_message(people.post_as(self._world, self._person, target, fields), self.id)
