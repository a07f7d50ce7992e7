"""What happened to a payment, as its timeline tells admins."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import counted, sentence

__all__ = ["TIMELINE"]

TIMELINE = (
    # Translators: In the timeline of a payment: its invoice was made.
    sentence("timeline_issued", "invoice issued"),
    # Translators: In the timeline of a payment: the bot allowed it to be paid.
    sentence("timeline_approved", "checkout approved"),
    # Translators: In the timeline of a payment: the Stars came.
    sentence("timeline_paid", "paid"),
    # Translators: In the timeline of a payment: it was found in Telegram's list, or written down late.
    sentence("timeline_recorded", "recorded afterwards"),
    # Translators: In the timeline of a payment: a try to hand over what was bought began.
    sentence("timeline_deliver", "delivery begun"),
    # Translators: In the timeline of a payment: the buyer has what they bought.
    sentence("timeline_delivered", "delivered"),
    # Translators: In the timeline of a payment: the step before it failed and is tried again.
    sentence("timeline_failed", "failed"),
    # Translators: In the timeline of a payment: the step before it was cut off, such as by a restart.
    sentence("timeline_cancelled", "cut off"),
    # Translators: In the timeline of a payment: the bot has nothing that delivers it.
    sentence("timeline_unmatched", "unmatched, waits for a person"),
    # Translators: In the timeline of a payment: it cannot go on without a person.
    sentence("timeline_stuck", "stuck, waits for a person"),
    # Translators: In the timeline of a payment: it is not delivered but refunded.
    sentence("timeline_rejected", "rejected, to be refunded"),
    # Translators: In the timeline of a payment: an admin asked for another try.
    sentence("timeline_redelivery", "delivery asked for again"),
    # Translators: In the timeline of a payment: somebody asked for its refund.
    sentence("timeline_requested", "refund requested"),
    # Translators: In the timeline of a payment: the refund is sent to Telegram.
    sentence("timeline_send_refund", "refund sent"),
    # Translators: In the timeline of a payment: the Stars are back with the buyer.
    sentence("timeline_refunded", "refunded"),
    # Translators: In the timeline of a payment: the bot reacts to the refund, such as by taking access away.
    sentence("timeline_announce_refund", "refund handlers begun"),
    # Translators: In the timeline of a payment: the bot has reacted to the refund.
    sentence("timeline_announced", "refund handlers done"),
    # Translators: In the timeline of a payment: Telegram does not give the Stars back.
    sentence("timeline_refund_refused", "refund refused by Telegram"),
    # Translators: In the timeline of a payment: Telegram has not confirmed the refund after many tries; it is sent on.
    sentence("timeline_refund_delayed", "refund still not confirmed"),
    # Translators: In the timeline of a payment: it is refunded, but the bot failed to react to that.
    sentence("timeline_refund_unheard", "refund handlers failed"),
    # Translators: In the timeline of a payment: an admin took it off the list of those that wait.
    sentence("timeline_dismissed", "dismissed"),
    # Translators: In the timeline of a payment: how many entries of a long one are not kept.
    counted("timeline_omitted", "{n} entry is not kept", "{n} entries are not kept"),
)
