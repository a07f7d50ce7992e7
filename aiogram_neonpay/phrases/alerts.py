"""What the admin chat is told by itself, and why a payment waits for a person."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import counted, sentence

__all__ = ["ALERTS"]

ALERTS = (
    # Translators: Title of a message to the shop's admins.
    sentence("alert_title", "This needs you"),
    # Translators: To admins. A payment is stuck when all tries to deliver what was bought have failed.
    counted("alert_stuck", "{n} payment is stuck", "{n} payments are stuck"),
    # Translators: To admins. An unmatched payment: the bot has nothing that delivers it.
    counted("alert_unmatched", "{n} payment is unmatched", "{n} payments are unmatched"),
    # Translators: To admins. Telegram refuses or delays a refund, or the bot failed to react to one.
    counted("alert_refund", "{n} refund did not go as it should", "{n} refunds did not go as they should"),
    # Translators: To admins. Telegram's list of payments and the bot's own were compared, and differ.
    sentence("alert_reconciliation", "Telegram's ledger and ours disagree"),
    # Translators: To admins. The bot has few Stars left.
    sentence("alert_low_balance", "The balance is low"),
    # Translators: To admins, before a list of the newest alerts: how many came before those.
    counted("alert_earlier", "{n} earlier, and then:", "{n} earlier, and then:"),
    # Translators: To admins. Numbers of payments found in Telegram's ledger only, of refunds made elsewhere, of
    # payments whose amount differs, and the Stars by which the balance is not what it should be.
    sentence(
        "alert_found",
        "payments recovered: {recovered}; refunds made elsewhere: {refunded}; amounts that differ: {differing}; "
        "balance off by: {drift} ⭐",
    ),
    # Translators: To admins: the Stars that the bot has, and below how many it is told.
    sentence("alert_balance", "balance {balance} ⭐, below {limit} ⭐"),
    # Translators: To admins, in a list of facts about a payment: who paid, by their number at Telegram.
    sentence("admin_user", "user {user}"),
    # Translators: To admins: why a payment waits. The bot tried to hand over what was bought, until its last try.
    sentence("reason_attempts", "every attempt to deliver it failed"),
    # Translators: To admins: why a payment waits.
    sentence("reason_bad_token", "its invoice was not signed with a key of this bot"),
    # Translators: To admins: why a payment waits.
    sentence("reason_buyer_unreachable", "the buyer blocked the bot during the delivery"),
    # Translators: To admins: why a payment waits. A handler is the part of the bot that hands over what was bought.
    sentence("reason_no_handler", "no handler of the bot took it"),
    # Translators: To admins: why a refund waits. It was sent eight times, and is sent on.
    sentence("reason_refund_delayed", "Telegram has not confirmed its refund yet"),
    # Translators: To admins: why a refund waits.
    sentence("reason_refund_refused", "Telegram refuses its refund"),
    # Translators: To admins: why a refund waits. The Stars are back with the buyer, and the bot failed to react.
    sentence("reason_refund_unheard", "it is refunded, but the bot's handlers of the refund failed"),
    # Translators: To admins: why a payment waits.
    sentence("reason_wrong_amount", "the amount paid is not the one that was offered"),
)
