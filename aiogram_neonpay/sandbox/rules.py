"""Owns the numbers of Telegram that the sandbox enforces, and names every guess as a guess.

Sources: core.telegram.org/bots/api (Bot API 10.3), the server in tdlib/telegram-bot-api, and tdlib/td.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

from aiogram_neonpay.sandbox.errors import ArgumentError

#: The currency of Telegram Stars.
STARS: Final = "XTR"

# --- invoices (Bot API, sendInvoice and createInvoiceLink) ---
TITLE_CHARACTERS: Final = 32
DESCRIPTION_CHARACTERS: Final = 255
PAYLOAD_BYTES: Final = 128
SUBSCRIPTION_PERIOD: Final = 2_592_000
#: What Telegram's test servers take in its place (tdlib/td#3309).
TEST_SUBSCRIPTION_PERIODS: Final = (60, 300)
SUBSCRIPTION_PRICE: Final = 10_000
#: Checked by the Bot API server itself for any currency (LabeledPricePart.cpp).
LARGEST_AMOUNT: Final = 999_999_999_999
SUGGESTED_TIPS: Final = 4

# --- messages ---
TEXT_CHARACTERS: Final = 4096
CALLBACK_DATA_BYTES: Final = 64
CALLBACK_ANSWER_CHARACTERS: Final = 200
COMMANDS: Final = 100
INLINE_RESULTS: Final = 50
CAPTION_CHARACTERS: Final = 1024
ALBUM_LENGTH: Final = 10

# --- files (Bot API, Sending files and getFile; Client.h) ---
DOWNLOAD_BYTES: Final = 20 * 1024 * 1024
UPLOAD_BYTES: Final = 50 * 1024 * 1024
PHOTO_BYTES: Final = 10 * 1024 * 1024
#: The largest sum of a photo's width and height, and how much longer than the other a side may be.
PHOTO_SIDES_SUM: Final = 10_000
PHOTO_SIDES_RATIO: Final = 20

# --- paid media (Bot API, sendPaidMedia) ---
PAID_MEDIA_PRICE: Final = 25_000
#: Checked by the Bot API server itself (MessageContent.cpp); the real limit is Telegram's.
PAID_MEDIA_SERVER_PRICE: Final = 1_000_000
PAID_MEDIA_LENGTH: Final = 10

# --- what bots buy for people (Bot API, sendGift and giftPremiumSubscription) ---
#: The price of Premium in Stars, by months.
PREMIUM_PRICES: Final = {3: 1000, 6: 1500, 12: 2500}
GIFT_TEXT_CHARACTERS: Final = 128

# --- deadlines and retention, seconds ---
PRE_CHECKOUT_DEADLINE: Final = 10
PAYMENT_FORM_LIFETIME: Final = 600
MESSAGE_RETENTION: Final = 86_400
PRE_CHECKOUT_RETENTION: Final = 150
CALLBACK_RETENTION: Final = 150
INLINE_RETENTION: Final = 30
CHOSEN_RETENTION: Final = 600
OTHER_RETENTION: Final = 86_400
#: Updates that may wait for one bot; more are dropped (TQueue.cpp).
QUEUE_LENGTH: Final = 100_000

# --- what the sandbox keeps in memory, so that a bot that runs for weeks does not fill it ---
#: Messages of one chat; the oldest are forgotten first.
MESSAGES_KEPT: Final = 10_000
#: Recorded calls, and roughly how many bytes of their parameters and results.
CALLS_KEPT: Final = 10_000
CALL_BYTES_KEPT: Final = 64 * 1024 * 1024

# --- getUpdates and webhooks (Client.cpp, WebhookActor.cpp) ---
POLL_LIMIT: Final = 100
POLL_TIMEOUT: Final = 50
TRANSACTIONS_LIMIT: Final = 100
WEBHOOK_CONNECTIONS: Final = 40
WEBHOOK_CONNECTIONS_LIMIT: Final = 100
WEBHOOK_ANSWER_SECONDS: Final = 60.0
WEBHOOK_RETRY_AFTER_LIMIT: Final = 3600
WEBHOOK_GONE_SECONDS: Final = 23 * 3600

#: Kinds that are delivered only when asked for by name (Bot API, getUpdates).
OPT_IN_UPDATES: Final = frozenset({"chat_member", "message_reaction", "message_reaction_count"})

# --- guesses: tokens nobody has confirmed for these causes ---
GUESS_TITLE_TOO_LONG: Final = "STARS_INVOICE_INVALID"
GUESS_DESCRIPTION_TOO_LONG: Final = "STARS_INVOICE_INVALID"
GUESS_SEVERAL_PRICES: Final = "STARS_INVOICE_INVALID"
GUESS_PAYLOAD_TOO_LONG: Final = "INVOICE_PAYLOAD_INVALID"
GUESS_PRICE_TOO_HIGH: Final = "CURRENCY_TOTAL_AMOUNT_INVALID"
GUESS_SUBSCRIPTION_TOO_HIGH: Final = "CURRENCY_TOTAL_AMOUNT_INVALID"
GUESS_SUBSCRIPTION_PERIOD: Final = "SUBSCRIPTION_PERIOD_INVALID"
GUESS_PAY_BUTTON_WITHOUT_INVOICE: Final = "BUTTON_TYPE_INVALID"
#: An unknown, a late and a second answer to one pre-checkout query are taken for the same failure.
GUESS_PRE_CHECKOUT_QUERY: Final = "QUERY_ID_INVALID"
GUESS_UNKNOWN_CHARGE: Final = "CHARGE_NOT_FOUND"
#: The right charge with another payer's id is taken for an unknown charge.
GUESS_FOREIGN_CHARGE: Final = "CHARGE_NOT_FOUND"
GUESS_BOT_TOO_POOR: Final = "BALANCE_TOO_LOW"
#: Editing a subscription that has ended is taken for editing one that never was.
GUESS_SUBSCRIPTION_OVER: Final = "CHARGE_ID_INVALID"
#: What `provider_payment_charge_id` holds for Stars.
GUESS_PROVIDER_CHARGE_ID: Final = ""
#: Refunding what a store has charged back is taken for refunding twice.
GUESS_CHARGED_BACK: Final = "CHARGE_ALREADY_REFUNDED"
#: A price of paid media above the documented one.
GUESS_MEDIA_PRICE: Final = "EXTENDED_MEDIA_AMOUNT_INVALID"
GUESS_MEDIA_PAYLOAD_TOO_LONG: Final = "INVOICE_PAYLOAD_INVALID"
#: A photo above 10 MB: Telegram states the limit and no error for it.
GUESS_PHOTO_TOO_BIG: Final = "PHOTO_SAVE_FILE_INVALID"
GUESS_GIFT_TEXT_TOO_LONG: Final = "MESSAGE_TOO_LONG"
GUESS_PROFILE_TEXT_TOO_LONG: Final = "TEXT_TOO_LONG"
#: The text of the button that stands where a forwarded invoice had its Pay button.
GUESS_FORWARDED_INVOICE_BUTTON: Final = "Pay"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the sandbox lets a test switch, because the truth is unknown or inconvenient.

    :param price_cap: the largest one-off price in Stars (a guess: no source states one);
        ``None`` switches the check off.
    :param polling_brake: slow down a client that asks getUpdates with the same offset again and again,
        as Telegram does: within 0.5 s it gets one update, within 3 s it waits up to 3 s, and a second 409
        within 3 s is held back that long. Also limits setWebhook to one call a second.
    :param paying_opens_chat: a person who has paid may be written to by the bot even if they never
        pressed Start (a guess).
    :param balance_below_zero: let a refund take the bot's balance below zero instead of refusing it
        (refusing with BALANCE_TOO_LOW is a guess).
    :param commission_deducted: a sale with an affiliate is in the ledger without the commission, in Stars and
        nanostars, and so is its refund; ``False`` shows the price (which of the two is a guess).
    :param media_refund_message: a refund of paid media is announced with `refunded_payment` as that of an invoice,
        with the media's payload; ``False`` moves the Stars only (which of the two is a guess, and so is that the
        media can still be seen).
    :param test_periods: take subscription periods of 60 and 300 seconds and refuse 30 days, as Telegram's test
        servers do.
    :param renewal_asks: send a pre_checkout_query before a renewal is charged; a refusal or silence fails it
        (a guess: Telegram's pages mention no such query).
    :param renewal_charge_ids: a renewal has a charge id of its own; ``False`` shows the bot that of the first
        payment, and the ledger another (which of the two is a guess).
    :param renewal_payloads: a renewal carries the payload of the link; ``False`` leaves it empty (a guess).
    :param renewal_retries: when a renewal that failed is tried again, in seconds after the end of the period that
        was paid for, rising; by default never, and the subscription is over (a guess).
    :param renewal_ids_edit: editUserStarSubscription takes the charge id of a renewal as well; refusing it with
        CHARGE_ID_INVALID is a guess.
    :param bot_cancel_updates: send a `subscription` update with the state ``canceled`` when the bot itself cancels
        (a guess: the update is documented for what the user does).
    :param refund_ends_subscription: a refund of any of its payments ends a subscription at once; that it leaves
        the subscription alone is a guess.
    :param webhook_timeout: how long a webhook may take to answer, in real seconds.
    """

    price_cap: int | None = 10_000
    polling_brake: bool = True
    paying_opens_chat: bool = True
    balance_below_zero: bool = False
    commission_deducted: bool = True
    media_refund_message: bool = True
    test_periods: bool = False
    renewal_asks: bool = False
    renewal_charge_ids: bool = True
    renewal_payloads: bool = True
    renewal_retries: tuple[float, ...] = ()
    renewal_ids_edit: bool = False
    bot_cancel_updates: bool = False
    refund_ends_subscription: bool = False
    webhook_timeout: float = WEBHOOK_ANSWER_SECONDS

    def __post_init__(self) -> None:
        retries = self.renewal_retries
        if any(later <= earlier for earlier, later in itertools.pairwise((0.0, *retries))):
            raise ArgumentError(f"renewal_retries must be rising numbers of seconds above 0, not {retries}")

    @property
    def subscription_periods(self) -> tuple[int, ...]:
        """The subscription periods that are taken, in seconds."""
        return TEST_SUBSCRIPTION_PERIODS if self.test_periods else (SUBSCRIPTION_PERIOD,)
