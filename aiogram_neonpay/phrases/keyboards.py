"""Buttons of keyboards, and what is said to those who tap them."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import sentence

__all__ = ["KEYBOARDS"]

KEYBOARDS = (
    # Translators: Button that sells a product: its title and price. Keep the star.
    sentence("product_button", "{title}, {amount} ⭐"),
    # Translators: Button that sells a subscription, charged every 30 days: its title and price. Keep the star.
    sentence("product_month_button", "{title}, {amount} ⭐ a month"),
    # Translators: Button that sells something whose name is not known; short.
    sentence("buy_button", "Buy"),
    # Translators: Button under amounts of Stars to choose from: the person wants to write another amount; short.
    sentence("other_amount", "Other amount"),
    # Translators: Button that shows the products of all categories; short.
    sentence("all_products", "All"),
    # Translators: Button that gives up what was begun; short.
    sentence("cancel_button", "Cancel"),
    # Translators: Question in a chat; the person answers with a number. The title of the product stands above it.
    sentence("ask_amount", "How many Stars? Write a whole number from {lowest} to {highest}."),
    # Translators: As before, where there is no highest number.
    sentence("ask_amount_open", "How many Stars? Write a whole number, {lowest} or more."),
    # Translators: Added to the question in a group, where there is no button to give up; /cancel is a command, keep it.
    sentence("ask_in_group", "{name}, please reply to this message, or write /cancel."),
    # Translators: Grey text in the field where the person writes the number; at most 64 characters.
    sentence("amount_placeholder", "A number of Stars"),
    # Translators: Answer to a number that is too small or too large.
    sentence("amount_limits", "It can be {lowest} to {highest} ⭐."),
    # Translators: As before, where there is no highest number.
    sentence("amount_limits_open", "It can be {lowest} ⭐ or more."),
    # Translators: The person wrote something that is no number.
    sentence("amount_wrong", "Please write a whole number, such as {lowest}, or /cancel."),
    # Translators: The person wrote the number long after the question.
    sentence("amount_late", "I asked too long ago. Please tap the button again."),
    # Translators: The person gave up what was begun.
    sentence("given_up", "Cancelled. Nothing was charged."),
    # Translators: The person tapped a button to give up what is over already, or is another person's.
    sentence("nothing_to_cancel", "There is nothing to cancel."),
    # Translators: Shown over the chat: the button that was tapped showed an old price.
    sentence("price_changed", "{title}: the price is {amount} ⭐ now."),
    # Translators: Shown over the chat: the same button was tapped twice; the invoice is in the chat.
    sentence("invoice_there", "The invoice is in the chat already."),
    # Translators: Shown over the chat: Telegram forbids the bot to write to this person.
    sentence("start_first", "I may not write to you. Open our chat, press Start, then tap again."),
    # Translators: Shown over the chat, or in it: the invoice could not be sent, for a reason that passes.
    sentence("try_again", "That did not work. Please try again in a minute."),
    # Translators: Shown over the chat: every product has been taken off sale.
    sentence("nothing_on_sale", "Nothing is on sale at the moment."),
)
