"""Where an invoice is shown and to whom, by the message or tap in hand."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from aiogram.types import CallbackQuery, Chat, InaccessibleMessage, Message, User

from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.places import Place, place_of

NOW = datetime.fromtimestamp(1_800_000_000, timezone.utc)
ALICE = User(id=7, is_bot=False, first_name="Alice")
BOT = User(id=42, is_bot=True, first_name="Bot")
PRIVATE = Chat(id=7, type="private")
GROUP = Chat(id=-100, type="supergroup")


def message(chat: Chat = PRIVATE, sender: User | None = ALICE, **fields: Any) -> Message:
    return Message(message_id=1, date=NOW, chat=chat, from_user=sender, **fields)


def tap(under: Message | InaccessibleMessage | None, by: User = ALICE) -> CallbackQuery:
    return CallbackQuery(id="1", from_user=by, chat_instance="1", message=under)


@pytest.mark.parametrize("sender", [ALICE, BOT, None])
def test_in_a_private_chat_the_chat_is_the_buyer(sender: User | None) -> None:
    assert place_of(message(sender=sender)) == Place(7, 7, private=True)


@pytest.mark.parametrize("kind", ["group", "supergroup"])
def test_in_a_group_the_sender_is_the_buyer(kind: str) -> None:
    assert place_of(message(Chat(id=-100, type=kind))) == Place(-100, 7, private=False)


def test_a_bots_message_in_a_group_does_not_tell_the_buyer() -> None:
    with pytest.raises(ValidationError, match=r"event: is a message of a bot.*pass the CallbackQuery itself"):
        place_of(message(GROUP, BOT))


def test_a_post_in_a_channel_is_for_whoever_pays() -> None:
    channel = Chat(id=-200, type="channel")

    assert place_of(message(channel, None, sender_chat=channel)) == Place(-200, None, private=False)


def test_what_is_written_in_a_groups_name_is_for_whoever_pays() -> None:
    anonymous = User(id=1087968824, is_bot=True, first_name="Group")

    assert place_of(message(GROUP, anonymous, sender_chat=GROUP)) == Place(-100, None, private=False)


@pytest.mark.parametrize(
    ("fields", "thread"),
    [
        ({"message_thread_id": 5, "is_topic_message": True}, 5),
        ({"message_thread_id": 5}, None),
        ({}, None),
    ],
    ids=["in a topic", "a reply", "in no topic"],
)
def test_the_invoice_goes_to_the_same_topic(fields: dict[str, Any], thread: int | None) -> None:
    options = {} if thread is None else {"message_thread_id": thread}
    for event in (message(GROUP, **fields), tap(message(GROUP, BOT, **fields))):
        assert place_of(event) == Place(-100, 7, private=False, thread_id=thread)
        assert place_of(event).options() == options


def test_whoever_taps_is_the_buyer() -> None:
    assert place_of(tap(message(sender=BOT))) == Place(7, 7, private=True)
    assert place_of(tap(message(GROUP, BOT))) == Place(-100, 7, private=False)


def test_a_tap_under_a_message_that_is_gone_still_tells_the_chat() -> None:
    gone = InaccessibleMessage(chat=GROUP, message_id=1, date=0)

    assert place_of(tap(gone)) == Place(-100, 7, private=False)


def test_a_tap_under_an_inline_message_leads_to_the_buyers_own_chat() -> None:
    assert place_of(tap(None)) == Place(7, 7, private=True)


@pytest.mark.parametrize("event", [None, 7, "message", ALICE, PRIVATE])
def test_other_events_have_no_place(event: Any) -> None:
    with pytest.raises(ValidationError, match="event: must be a Message or a CallbackQuery; got"):
        place_of(event)
