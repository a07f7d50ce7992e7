"""The ready dialogs for aiogram-dialog: the shop, donations, purchases and subscriptions."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import counted, sentence

__all__ = ["DIALOGS"]

DIALOGS = (
    # Translators: The price of a subscription on a button or in a list; charged every 30 days. Keep the star.
    sentence("price_monthly", "{amount} ⭐ a month"),
    # Translators: In place of a price, where the buyer decides how much to pay.
    sentence("price_chosen", "as much as you like"),
    # Translators: A date in figures, as people write it in this language. {month:02} is the month with two digits.
    sentence("date", "{year}-{month:02}-{day:02}"),
    # Translators: Button that returns to the window before.
    sentence("back_button", "Back"),
    # Translators: Button that ends a dialog; its message stays without buttons.
    sentence("close_button", "Close"),
    # Translators: Over the list of products in a shop.
    sentence("shop_choose", "What would you like?"),
    # Translators: Over the list of categories in a shop.
    sentence("shop_choose_category", "What are you looking for?"),
    # Translators: Instead of the list of products, when there are none.
    sentence("shop_empty", "There is nothing for sale at the moment."),
    # Translators: Button that returns from the products of one category to the list of categories.
    sentence("shop_categories_button", "All categories"),
    # Translators: Button on the page of a product, such as "Buy: 25 ⭐". It sends the invoice.
    sentence("product_buy_button", "Buy: {price}"),
    # Translators: On the page of a product that the buyer has bought before and has for ever.
    sentence("product_owned", "You have this."),
    # Translators: On the page of a product that the buyer has until a date.
    sentence("product_owned_until", "You have this until {until}."),
    # Translators: On the page of a product that the buyer has bought, and may still use so often.
    counted("product_owned_uses", "You have {n} use left.", "You have {n} uses left."),
    # Translators: After a payment. {title} is the product, {stars} such as "25 Stars".
    sentence("shop_thanks", "Thank you! {title} is paid: {stars}."),
    # Translators: Button that returns to the shop after a payment.
    sentence("shop_button", "Back to the shop"),
    # Translators: The number of a payment, for questions to the seller.
    sentence("receipt_number", "Receipt: {reference}"),
    # Translators: Over the buttons with amounts. {least} and {most} are numbers of Stars.
    sentence(
        "donate_choose",
        "Thank you for your support! Choose how many Stars to give, or write a number from {least} to {most}.",
    ),
    # Translators: As above, where no number can be written.
    sentence("donate_choose_only", "Thank you for your support! Choose how many Stars to give."),
    # Translators: Button that gives an amount of Stars. Keep the star.
    sentence("give_button", "Give {value} ⭐"),
    # Translators: Answer to something that is no number, or one that is too small or too large.
    sentence("donate_number", "Please write a whole number from {least} to {most}."),
    # Translators: After a donation of {n} Stars.
    counted("donate_thanks", "Thank you for {n} Star!", "Thank you for {n} Stars!"),
    # Translators: Button that leads to the page on which Stars are given, such as "Donate".
    sentence("donate_open_button", "Donate"),
    # Translators: Button for another donation after the first one.
    sentence("donate_button", "Give more"),
    # Translators: Over the list of what the reader has bought.
    sentence("purchases_title", "Your purchases:"),
    # Translators: Instead of that list, when it is empty.
    sentence("purchases_empty", "You have not bought anything yet."),
    # Translators: Button that leads to the list of purchases.
    sentence("purchases_button", "My purchases"),
    # Translators: Button that turns to purchases that were made later.
    sentence("newer_button", "Newer"),
    # Translators: Button that turns to purchases that were made earlier.
    sentence("older_button", "Older"),
    # Translators: How a payment stands: paid, and what was bought was delivered.
    sentence("receipt_paid", "Paid."),
    # Translators: How a payment stands: paid, and what was bought has not been delivered yet.
    sentence("receipt_underway", "Paid. It is on its way to you."),
    # Translators: How a payment stands: paid, but the delivery failed and a person has to look.
    sentence("receipt_waiting", "Paid. The seller is looking into it."),
    # Translators: How a payment stands: the Stars went back to the buyer.
    sentence("receipt_refunded", "Refunded: your Stars are back."),
    # Translators: Over the list of the reader's subscriptions.
    sentence("subscriptions_title", "Your subscriptions:"),
    # Translators: Instead of that list, when it is empty.
    sentence("subscriptions_empty", "You have no subscriptions."),
    # Translators: Button that leads to the list of subscriptions.
    sentence("subscriptions_button", "My subscriptions"),
    # Translators: A subscription that goes on; {until} is the date of the next payment. Keep the star.
    sentence("subscription_active", "Next payment: {until}, {amount} ⭐."),
    # Translators: A subscription whose last payment failed, for lack of Stars; {until} is its date. Keep the star.
    sentence("subscription_failed", "Telegram could not charge {amount} ⭐ on {until}. Top up your Stars to keep it."),
    # Translators: A subscription that will not be charged again; {until} is its last day.
    sentence("subscription_canceled", "Cancelled. It is yours until {until}."),
    # Translators: A subscription that is over since {until}.
    sentence("subscription_expired", "Ended on {until}."),
    # Translators: How to take a cancelled subscription up again. "My Stars" is a page of Telegram's own settings.
    sentence("subscription_resume", "You can resume it in Telegram: Settings, My Stars."),
    # Translators: Button that asks whether to cancel a subscription.
    sentence("subscription_cancel_button", "Cancel the subscription"),
    # Translators: The question before a subscription is cancelled. {until} is its last day.
    sentence("subscription_sure", "Cancel {title}? It stays yours until {until}, and nothing is charged after that."),
    # Translators: Button that answers the question: cancel it.
    sentence("subscription_yes_button", "Yes, cancel it"),
    # Translators: Button that answers the question: do not cancel it.
    sentence("subscription_no_button", "Keep it"),
    # Translators: Button that lets the reader take a cancelled subscription up again.
    sentence("subscription_restore_button", "Restore"),
    # Translators: Shown over the chat when Telegram does not answer; it is asked again without the reader.
    sentence("subscription_later", "Telegram is not answering. It will be done in a moment."),
)
