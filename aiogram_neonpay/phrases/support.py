"""The terms of sale, the conversation with the support, and what its admins read."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import sentence

__all__ = ["SUPPORT"]

SUPPORT = (
    # Translators: Answer to /terms where the bot's owner gave none. {bot}: @name of the bot; {contact}: a @name, an
    # address or a command.
    sentence(
        "terms",
        "Terms of sale of {bot}\n\n"
        "• What is sold here is digital and is delivered in this chat, as soon as it is paid.\n"
        "• Prices are in Telegram Stars, and Telegram takes the payment: the bot sees no cards and no accounts.\n"
        "• If what you have paid for does not arrive, you get it, or your Stars back.\n"
        "• A subscription is renewed every 30 days until you cancel it, in Telegram's settings under Stars.\n"
        "• Questions about a payment: {contact}. Telegram's own support cannot help with purchases in this bot.",
    ),
    # Translators: Answer to /paysupport where questions go to a contact. {bot}: @name of the bot; {contact}: a @name or
    # an address.
    sentence(
        "paysupport",
        "Something went wrong with a payment in {bot}? Write to {contact}, with the day and the amount of the payment."
        "\n\n"
        "Telegram's own support cannot help with purchases in this bot.",
    ),
    # Translators: Answer to /paysupport; below it are buttons with payments.
    sentence(
        "support_pick",
        "Which payment is it about?\n\nTelegram's own support cannot help with purchases in this bot: we do.",
    ),
    # Translators: Button below the list of payments: the question is about none of them.
    sentence("support_other_button", "Something else"),
    # Translators: Button that ends a conversation with the support before anything was sent.
    sentence("support_cancel_button", "Cancel"),
    # Translators: The next message of the buyer is passed on to the support. /cancel is a command: keep it.
    sentence(
        "support_write",
        "Write your question in one message: a text, a photo, a video, a voice message or a file. /cancel to leave.",
    ),
    # Translators: As above, about a payment. {payment}: a product with price and date.
    sentence(
        "support_write_about",
        "{payment}\n\n"
        "Write your question in one message: a text, a photo, a video, a voice message or a file. /cancel to leave.",
    ),
    # Translators: The buyer's message has reached the support.
    sentence("support_sent", "Your message was passed on. The answer comes here."),
    # Translators: The buyer has cancelled before writing anything.
    sentence("support_left", "All right, nothing was sent."),
    # Translators: The buyer has sent something like a sticker or a place.
    sentence(
        "support_kind", "This cannot be passed on. Please send a text, a photo, a video, a voice message or a file."
    ),
    # Translators: The buyer writes too often.
    sentence("support_wait", "You have written several times already. Please wait a while for the answer."),
    # Translators: The chat of the support cannot be reached at the moment.
    sentence("support_failed", "Your message could not be passed on. Please try again later."),
    # Translators: As above. {contact}: a @name or an address.
    sentence("support_failed_contact", "Your message could not be passed on. Please write to {contact}."),
    # Translators: Answer to /paysupport in a group; below it is a button that leads to the bot's private chat.
    sentence("support_in_private", "Questions about payments are answered in private."),
    # Translators: Button that leads to the private chat with the bot.
    sentence("support_private_button", "Ask in private"),
    # Translators: Button below an answer of the support, to write to it again.
    sentence("support_back_button", "Write back"),
    # Translators: Read by the bot's admins above a buyer's question. {name}: the buyer; {id}: their number.
    sentence("support_from", "Question from {name} ({id})"),
    # Translators: Read by the bot's admins. {reference}: the payment's number; {title}: the product; {stage}: its name
    # in the program; {stars}: a number of Stars; {date}: day and time.
    sentence("support_payment", "Payment {reference}: {title} ({stage}), {stars}, {date}"),
    # Translators: Read by the bot's admins. {status}: one of the four below.
    sentence("support_status", "Status: {status}"),
    # Translators: What became of a payment: all is well.
    sentence("payment_delivered", "paid and delivered"),
    # Translators: What became of a payment: it is being delivered now.
    sentence("payment_on_its_way", "paid, on its way"),
    # Translators: What became of a payment: something failed. {reason}: why, in words.
    sentence("payment_waiting", "paid, not delivered, waits for you ({reason})"),
    # Translators: What became of a payment.
    sentence("payment_refunded", "refunded"),
    # Translators: Read by the bot's admins: the question is about no payment.
    sentence("support_no_payment", "No payment was chosen."),
    # Translators: Read by the bot's admins below a question. // is what they write: keep it.
    sentence("support_how", "Reply to this message to answer. What begins with // stays here."),
    # Translators: Read by an admin whose answer did not arrive.
    sentence("support_unreachable", "Not delivered: this person has blocked the bot or left Telegram."),
    # Translators: Read by an admin whose answer did not arrive, for another reason.
    sentence(
        "support_not_carried", "Not delivered: Telegram did not take it. Please send it again, or in another form."
    ),
    # Translators: Description of the command /terms in the menu of the bot.
    sentence("command_terms", "Terms of sale"),
    # Translators: Description of the command /paysupport in the menu of the bot.
    sentence("command_paysupport", "Help with a payment"),
)
