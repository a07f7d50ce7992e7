"""Owns the table of Bot API methods and the way a call goes through it: token, method, record, answer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiogram_neonpay.sandbox.errors import ApiError, LostReply, refuse
from aiogram_neonpay.sandbox.faults.calls import call_subject
from aiogram_neonpay.sandbox.faults.rules import CallFault
from aiogram_neonpay.sandbox.methods import (
    account,
    chats,
    copies,
    delivery,
    gifts,
    inline,
    media,
    messages,
    paid_media,
    places,
    profile,
    stars,
)
from aiogram_neonpay.sandbox.methods.context import Answer, Context, Handler
from aiogram_neonpay.sandbox.models import Call, Json
from aiogram_neonpay.sandbox.parameters import Parameters
from aiogram_neonpay.sandbox.payments import Payments
from aiogram_neonpay.sandbox.schema import published_name, unknown_parameters
from aiogram_neonpay.sandbox.world import BotAccount, World

SUPPORTED: dict[str, Handler] = {
    "getMe": account.get_me,
    "logOut": account.log_out,
    "close": account.log_out,
    "getChat": account.get_chat,
    "getChatMember": chats.get_chat_member,
    "getChatMemberCount": chats.get_chat_member_count,
    "getChatAdministrators": chats.get_chat_administrators,
    "getUserProfilePhotos": chats.get_user_profile_photos,
    "pinChatMessage": chats.pin_chat_message,
    "unpinChatMessage": chats.unpin_chat_message,
    "unpinAllChatMessages": chats.unpin_all_chat_messages,
    "setMessageReaction": chats.set_message_reaction,
    "setMyName": profile.text_setter("name"),
    "getMyName": profile.text_getter("name"),
    "setMyDescription": profile.text_setter("description"),
    "getMyDescription": profile.text_getter("description"),
    "setMyShortDescription": profile.text_setter("short_description"),
    "getMyShortDescription": profile.text_getter("short_description"),
    "setChatMenuButton": profile.set_chat_menu_button,
    "getChatMenuButton": profile.get_chat_menu_button,
    "setMyDefaultAdministratorRights": profile.set_my_default_administrator_rights,
    "getMyDefaultAdministratorRights": profile.get_my_default_administrator_rights,
    "sendChatAction": account.send_chat_action,
    "setMyCommands": account.set_my_commands,
    "getMyCommands": account.get_my_commands,
    "deleteMyCommands": account.delete_my_commands,
    "getUpdates": delivery.get_updates,
    "setWebhook": delivery.set_webhook,
    "deleteWebhook": delivery.delete_webhook,
    "getWebhookInfo": delivery.get_webhook_info,
    "sendMessage": messages.send_message,
    "editMessageText": messages.edit_message_text,
    "editMessageReplyMarkup": messages.edit_message_reply_markup,
    "editMessageCaption": media.edit_message_caption,
    "editMessageMedia": media.edit_message_media,
    "sendPhoto": media.sender("photo"),
    "sendVideo": media.sender("video"),
    "sendAnimation": media.sender("animation"),
    "sendAudio": media.sender("audio"),
    "sendDocument": media.sender("document"),
    "sendVoice": media.sender("voice"),
    "sendVideoNote": media.sender("video_note"),
    "sendSticker": media.sender("sticker"),
    "sendMediaGroup": media.send_media_group,
    "getFile": media.get_file,
    "sendLocation": places.send_location,
    "sendVenue": places.send_venue,
    "sendContact": places.send_contact,
    "sendDice": places.send_dice,
    "forwardMessage": copies.forward_message,
    "forwardMessages": copies.forward_messages,
    "copyMessage": copies.copy_message,
    "copyMessages": copies.copy_messages,
    "deleteMessage": messages.delete_message,
    "deleteMessages": messages.delete_messages,
    "answerCallbackQuery": messages.answer_callback_query,
    "answerInlineQuery": inline.answer_inline_query,
    "sendInvoice": stars.send_invoice,
    "sendPaidMedia": paid_media.send_paid_media,
    "getAvailableGifts": gifts.get_available_gifts,
    "sendGift": gifts.send_gift,
    "giftPremiumSubscription": gifts.gift_premium_subscription,
    "createInvoiceLink": stars.create_invoice_link,
    "answerPreCheckoutQuery": stars.answer_pre_checkout_query,
    "editUserStarSubscription": stars.edit_user_star_subscription,
    "refundStarPayment": stars.refund_star_payment,
    "getStarTransactions": stars.get_star_transactions,
    "getMyStarBalance": stars.get_my_star_balance,
}

#: What the record of calls shows as the error of a call that a fault left without answer and effect.
NO_ANSWER = "no answer: the connection was closed"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one call: an HTTP status and a JSON body."""

    status: int
    body: Json


class BotApi:
    """Runs Bot API calls against a world, lets faults strike them, and records them."""

    def __init__(self, world: World, payments: Payments) -> None:
        self._world = world
        self._payments = payments

    async def call(self, token: str, method: str, values: Mapping[str, Any]) -> Reply:
        """Run one call.

        :param method: the name in any case.
        :param values: parameters as strings or decoded JSON; files as `Upload`.
        :raises LostReply: when a fault takes the answer.
        """
        if not token.split(":", 1)[0].isdigit() or ":" not in token:
            return _refusal(refuse("invalid token specified", 401))
        bot = self._world.bot_by_token(token)
        if bot is None:
            return _refusal(ApiError(401, "Unauthorized"))
        parameters, faults = Parameters(values), self._world.faults
        name = published_name(method) or method
        strike = faults.for_call(call_subject(self._world, self._payments, bot.id, name, parameters))
        await faults.hold(strike.before)
        if strike.fault is not None and strike.fault.when == "before":
            refusal = strike.fault.refusal() if strike.fault.error else ApiError(0, NO_ANSWER)
            self._record(bot, name, parameters, None, refusal, strike.fault)
            return await self._spoil(strike.fault)
        reply = await self._run(bot, name, parameters, strike.fault)
        await faults.hold(strike.after)
        return reply if strike.fault is None else await self._spoil(strike.fault)

    async def _run(self, bot: BotAccount, name: str, parameters: Parameters, fault: CallFault | None) -> Reply:
        handler = SUPPORTED.get(name)
        try:
            if handler is None:
                raise _missing(name)
            result = handler(Context(self._world, self._payments, bot, parameters))
            if inspect.isawaitable(result):
                result = await result
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can smuggle in
            return _refusal(refuse("strings must be encoded in UTF-8"))
        except ApiError as error:
            self._record(bot, name, parameters, None, error, fault)
            return _refusal(error)
        body: Json = {"ok": True, "result": result}
        if isinstance(result, Answer):
            body = {"ok": True, "result": result.result, "description": result.description}
        if name != "getUpdates":
            self._record(bot, name, parameters, body["result"], None, fault)
        return Reply(200, body)

    async def _spoil(self, fault: CallFault) -> Reply:
        """Give what the bot gets in place of the answer."""
        if fault.error is not None:
            return _refusal(fault.refusal())
        if fault.hang is not None:
            await self._world.faults.hold([fault])
        raise LostReply(NO_ANSWER)

    def _record(
        self,
        bot: BotAccount,
        method: str,
        parameters: Parameters,
        result: Any,
        error: ApiError | None,
        fault: CallFault | None,
    ) -> None:
        if isinstance(result, dict):
            result = dict(result)
        call = Call(
            bot_id=bot.id,
            method=method,
            params=parameters.recorded(),
            result=result,
            error=error.description if error else None,
            error_code=error.code or None if error else None,
            time=self._world.clock.now(),
            fault=fault.id if fault else None,
            unknown=unknown_parameters(method, parameters.given()),
        )
        self._world.calls.add(call)
        self._world.feed.publish("call", call=shown_call(call))
        self._world.changed.notify()


def shown_call(call: Call) -> Json:
    """Describe a call for the inspector."""
    return {
        "bot_id": call.bot_id,
        "method": call.method,
        "params": call.params,
        "result": call.result,
        "error": call.error,
        "error_code": call.error_code,
        "time": call.time,
        "fault": call.fault,
        "unknown": list(call.unknown),
    }


def _missing(method: str) -> ApiError:
    if published_name(method) is None:
        return refuse("method not found", 404)
    return refuse(f"the sandbox does not support {method}")


def _refusal(error: ApiError) -> Reply:
    body: Json = {"ok": False, "error_code": error.code, "description": error.description}
    if error.retry_after is not None:
        body["parameters"] = {"retry_after": error.retry_after}
    return Reply(error.code, body)
