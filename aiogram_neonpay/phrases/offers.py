"""Promo codes and gifts."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import sentence

__all__ = ["OFFERS"]

OFFERS = (
    # Translators: Answer to a promo code that the shop does not have, typed or from a link.
    sentence("promo_unknown", "There is no such promo code."),
    # Translators: Answer to a promo code whose campaign has not begun.
    sentence("promo_not_started", "This promo code cannot be used yet."),
    # Translators: Answer to a promo code whose campaign is over; also in the payment window of an invoice made with it.
    sentence("promo_ended", "This promo code cannot be used any more."),
    # Translators: The promo code was for a number of purchases, and all were made; also in the payment window.
    sentence("promo_used_up", "This promo code has been used up."),
    # Translators: The promo code is for other products, or would take nothing off this price.
    sentence("promo_not_for_stage", "This promo code does not apply to this product."),
    # Translators: This buyer has used the promo code as often as one person may; also in the payment window.
    sentence("promo_already_used", "You have used this promo code already."),
    # Translators: Message to who has paid for a gift. {title} is the product, {link} an address alone on its line.
    sentence(
        "gift_bought",
        "Your gift is paid: {title}. Send this link to one person, the first who opens it gets the gift.\n\n{link}",
    ),
    # Translators: Button under that message; it opens Telegram's window for choosing whom to send the link to.
    sentence("gift_share_button", "Send the gift"),
    # Translators: The buyer of a gift has tapped the link meant for somebody else.
    sentence("gift_own", "This is the link of a gift that you have bought. Send it to the person who is to get it."),
    # Translators: Somebody taps the link of a gift that they have opened before.
    sentence("gift_yours", "You have opened this gift already."),
    # Translators: Somebody taps the link of a gift that another person has opened before.
    sentence("gift_opened", "Somebody else has opened this gift already."),
    # Translators: The link of a gift that was refunded, or that never was one.
    sentence("gift_gone", "This gift is not there any more."),
)
