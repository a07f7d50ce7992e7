"""Why a payment is declined: Telegram shows these to the buyer instead of taking the Stars."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import sentence

__all__ = ["CHECKOUT"]

CHECKOUT = (
    # Translators: The invoice was altered, or its key is not known any more.
    sentence("bad_token", "This invoice is not valid any more. Please ask the bot for a new one."),
    # Translators: The invoice is in another currency than Telegram Stars.
    sentence("wrong_currency", "This invoice can be paid in Telegram Stars only. Please ask the bot for a new one."),
    # Translators: The sum that Telegram names is not the one that was offered.
    sentence("wrong_amount", "The amount does not match this invoice. Please ask the bot for a new one."),
    # Translators: Somebody else tries to pay an invoice that only one person may pay.
    sentence("wrong_buyer", "This invoice was made for somebody else. Please ask the bot for one of your own."),
    # Translators: The invoice had a time limit, which is over.
    sentence("expired", "This invoice has expired. Please ask the bot for a new one."),
    # Translators: The product was removed from the shop.
    sentence("stage_not_found", "This product is not sold any more."),
    # Translators: The product is there, but its sale is paused.
    sentence("not_on_sale", "This product is not on sale at the moment."),
    # Translators: The seller cancelled the invoice.
    sentence("cancelled", "This invoice was cancelled. Please ask the bot for a new one."),
    # Translators: The invoice may be paid once, and was.
    sentence("already_paid", "This invoice has been paid already."),
    # Translators: The seller's own rules refused, without a reason of their own.
    sentence("rejected", "The bot cannot accept this payment now. No Stars were charged."),
    # Translators: Something broke while the seller's rules were asked.
    sentence("check_failed", "The bot could not check this order. No Stars were charged, please try again."),
    # Translators: The bot is being repaired or restarted.
    sentence("interrupted", "The bot cannot take payments right now. No Stars were charged, please try again later."),
    # Translators: Telegram waits ten seconds for the bot, and they were over.
    sentence("too_slow", "The bot did not answer in time. No Stars were charged, please try again."),
    # Translators: There were only so many of the product, and all of them were bought.
    sentence("sold_out", "This is sold out. No Stars were charged."),
    # Translators: The product can be had once, and the buyer has it.
    sentence("owned", "You have this already. No Stars were charged."),
    # Translators: One person may buy the product only so many times.
    sentence("limit_reached", "You have as many of these as one person may have. No Stars were charged."),
)
