"""What admins read and tap: menus, payments, people, money."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import sentence

__all__ = ["ADMINISTRATION"]

ADMINISTRATION = (
    # Translators: Title of the menu of administration.
    sentence("admin_title", "Administration of payments"),
    # Translators: To admins, while something takes a few seconds.
    sentence("admin_working", "One moment …"),
    # Translators: Shown to an admin who has confirmed an order, such as a refund, while it is done. The button that
    # confirms it is still there: if the program stops on the way, tapping it once more does what is missing.
    sentence(
        "admin_working_on", "One moment … If nothing follows within a minute, tap once more: it is done only once."
    ),
    # Translators: To admins: an order could not be carried out; the error is in English.
    sentence("admin_failed", "That did not work: {error}"),
    # Translators: To admins: nothing has the number that they wrote.
    sentence("admin_not_found", "No such payment is known."),
    # Translators: To admins who want to refund a payment that the bot has not recorded. A charge id is Telegram's long
    # name of a payment.
    sentence(
        "admin_not_found_refund",
        "No such payment is known. Is it older than the bot's records? Write the buyer's id after the charge id.",
    ),
    # Translators: In a list for admins that has nothing in it.
    sentence("admin_none", "Nothing here."),
    # Translators: Button of admins: to the page before.
    sentence("admin_back_button", "‹ Back"),
    # Translators: What admins write after the command that looks something up.
    sentence("admin_usage_find", "<reference, charge id or user id>"),
    # Translators: What admins write after the command that gives Stars back. What is in brackets may be left out.
    sentence("admin_usage_refund", "<payment> [reason]"),
    # Translators: What admins write after the command that delivers what was bought once more.
    sentence("admin_usage_redeliver", "<payment>"),
    # Translators: What admins write after the command that shows sales.
    sentence("admin_usage_report", "[days, 1-366]"),
    # Translators: What admins write after the command that gives access. Keep 30d (days; h: hours, w: weeks) and x20
    # (uses).
    sentence("admin_usage_grant", "<user id> <access> [30d] [x20] [reason]"),
    # Translators: What admins write after the command that takes access away.
    sentence("admin_usage_revoke", "<user id> <access> [reason]"),
    # Translators: What a command of admins does, in the menu.
    sentence("admin_does_admin", "this menu"),
    # Translators: What a command of admins does, in the menu.
    sentence("admin_does_find", "a payment, or all of one user"),
    # Translators: What a command of admins does, in the menu.
    sentence("admin_does_refund", "give the Stars back"),
    # Translators: What a command of admins does, in the menu.
    sentence("admin_does_redeliver", "deliver a payment that waits once more"),
    # Translators: What a command of admins does, in the menu.
    sentence("admin_does_stuck", "payments that wait for you"),
    # Translators: What a command of admins does, in the menu.
    sentence("admin_does_balance", "the bot's Stars"),
    # Translators: What a command of admins does, in the menu.
    sentence("admin_does_report", "what was sold and refunded"),
    # Translators: What a command of admins does, in the menu: it compares two lists of payments.
    sentence("admin_does_reconcile", "compare with Telegram's ledger and repair"),
    # Translators: What a command of admins does, in the menu.
    sentence("admin_does_grant", "give somebody access"),
    # Translators: What a command of admins does, in the menu.
    sentence("admin_does_revoke", "take access away"),
    # Translators: Button of admins: payments that wait for a person.
    sentence("admin_stuck_button", "Waiting"),
    # Translators: Button of admins: how many Stars the bot has.
    sentence("admin_balance_button", "Balance"),
    # Translators: Button of admins: compare the bot's payments with Telegram's list.
    sentence("admin_reconcile_button", "Reconcile"),
    # Translators: Button of admins under a payment: what happened to it, and when.
    sentence("admin_timeline_button", "Timeline"),
    # Translators: Button of admins under a payment: all payments of its buyer.
    sentence("admin_buyer_button", "Buyer"),
    # Translators: Button of admins under a payment: give its Stars back. They are asked once more.
    sentence("admin_refund_button", "Refund …"),
    # Translators: Button of admins under a payment: hand over what was bought once more.
    sentence("admin_redeliver_button", "Deliver again"),
    # Translators: Button of admins: take a payment off the list of those that wait.
    sentence("admin_dismiss_button", "Dismiss"),
    # Translators: Button of admins: what a user may do.
    sentence("admin_access_button", "Access"),
    # Translators: Button of admins: show sales by day.
    sentence("admin_by_day_button", "By day"),
    # Translators: Button of admins: show sales by product.
    sentence("admin_by_stage_button", "By product"),
    # Translators: Button of admins: sales of today.
    sentence("admin_days_1_button", "Today"),
    # Translators: Button of admins: sales of a week.
    sentence("admin_days_7_button", "7 days"),
    # Translators: Button of admins: sales of a month.
    sentence("admin_days_30_button", "30 days"),
    # Translators: Button by which an admin confirms a refund.
    sentence("admin_yes_refund_button", "Yes, refund"),
    # Translators: Button by which an admin confirms that somebody gets access.
    sentence("admin_yes_grant_button", "Yes, grant"),
    # Translators: Button by which an admin confirms that access is taken away.
    sentence("admin_yes_revoke_button", "Yes, revoke"),
    # Translators: Button by which an admin decides against it.
    sentence("admin_no_button", "No"),
    # Translators: To admins, before the short name of a payment.
    sentence("admin_reference", "Reference:"),
    # Translators: To admins, before Telegram's long name of a payment.
    sentence("admin_charge", "Charge:"),
    # Translators: To admins, before the id of who paid.
    sentence("admin_buyer", "Buyer:"),
    # Translators: To admins, before the moment of a payment.
    sentence("admin_paid", "Paid:"),
    # Translators: To admins, before what became of a payment.
    sentence("admin_status", "Status:"),
    # Translators: To admins, before an error in English.
    sentence("admin_error", "Error:"),
    # Translators: To admins, before the end of a subscription's paid period.
    sentence("admin_paid_until", "Paid until:"),
    # Translators: To admins, before technical data that belongs to a payment.
    sentence("admin_metadata", "Metadata:"),
    # Translators: What became of a payment: the buyer has what they bought.
    sentence("admin_status_delivered", "delivered"),
    # Translators: What became of a payment: the buyer does not have it yet; {n} counts the tries.
    sentence("admin_status_open", "not delivered yet (attempt {n})"),
    # Translators: What became of a payment: the Stars went back.
    sentence("admin_status_refunded", "refunded"),
    # Translators: What became of a payment: a person has to decide; the reason is another phrase.
    sentence("admin_status_waits", "waits for you: {reason}"),
    # Translators: Title of the list of payments that wait for an admin, oldest first.
    sentence("admin_waiting", "Waiting for you"),
    # Translators: Title of the list of somebody's payments, newest first.
    sentence("admin_payments_of", "Payments of user {user}"),
    # Translators: Title of the list of what somebody may do.
    sentence("admin_access_of", "Access of user {user}"),
    # Translators: How long access lasts: without an end.
    sentence("admin_for_ever", "for ever"),
    # Translators: How long access or a subscription lasts.
    sentence("admin_until", "until {date}"),
    # Translators: What gave access: something that was bought.
    sentence("admin_source_purchase", "bought"),
    # Translators: What gave access: a subscription.
    sentence("admin_source_subscription", "by subscription"),
    # Translators: What gave access: an admin.
    sentence("admin_source_granted", "granted by hand"),
    # Translators: In a list of what admins did: one gave somebody access.
    sentence("admin_did_grant", "granted"),
    # Translators: In a list of what admins did: one took access away.
    sentence("admin_did_revoke", "revoked"),
    # Translators: State of a subscription: Telegram charges for the next month.
    sentence("admin_sub_active", "subscription"),
    # Translators: State of a subscription: the last charge failed.
    sentence("admin_sub_failed", "subscription, last charge failed"),
    # Translators: State of a subscription: it ends with the paid month.
    sentence("admin_sub_canceled", "subscription, canceled"),
    # Translators: State of a subscription: it is over.
    sentence("admin_sub_expired", "subscription, expired"),
    # Translators: To an admin who has to confirm: give the Stars back?
    sentence("admin_ask_refund", "Refund this payment?"),
    # Translators: To an admin who has to confirm: give access?
    sentence("admin_ask_grant", "Grant this access?"),
    # Translators: To an admin who has to confirm: take access away?
    sentence("admin_ask_revoke", "Revoke this access?"),
    # Translators: To an admin who wants to refund a payment that the bot has not recorded.
    sentence("admin_unknown_charge", "The ledger does not know this charge: its amount is Telegram's to say."),
    # Translators: To an admin who grants or revokes access: maybe its name is misspelt.
    sentence("admin_unknown_access", "No product gives access of this name."),
    # Translators: To admins, before the reason that one of them gave.
    sentence("admin_reason", "Reason: {reason}"),
    # Translators: To an admin, after it was done.
    sentence("admin_refunded", "Refunded: the Stars are back with the buyer."),
    # Translators: To an admin who wants to refund a payment.
    sentence("admin_refunded_before", "This payment was refunded before."),
    # Translators: To an admin: there will be no refund; the error is Telegram's, in English.
    sentence("admin_refund_refused", "Telegram refuses the refund: {error}"),
    # Translators: To an admin: the refund is not confirmed yet and is sent again by itself; the error is in English.
    sentence("admin_refund_waits", "The refund is recorded and is sent until Telegram confirms it: {error}"),
    # Translators: To an admin: the bot hands over what was bought once more, now.
    sentence("admin_redelivered", "It is delivered again now."),
    # Translators: To an admin who wants a payment delivered once more: it was delivered, refunded, or is on its way.
    sentence("admin_no_redelivery", "There is nothing to deliver again as it stands."),
    # Translators: To an admin: the payment is off the list of those that wait.
    sentence("admin_dismissed", "Taken off the list."),
    # Translators: To an admin, after it was done. An access is a name for what somebody may do.
    sentence("admin_granted", "User {user} has the access {access} now."),
    # Translators: To an admin, after it was done.
    sentence("admin_revoked", "User {user} does not have the access {access} any more."),
    # Translators: To an admin who wanted to take access away.
    sentence("admin_had_none", "User {user} has no access {access}."),
    # Translators: To an admin who has decided against it.
    sentence("admin_not_done", "Nothing was done."),
    # Translators: Shown over the chat to an admin who taps an old button.
    sentence("admin_question_gone", "This question is too old. Please begin again."),
    # Translators: Shown over the chat to an admin who taps a button that is another admin's to tap.
    sentence("admin_question_other", "Another admin was asked this."),
    # Translators: Shown over the chat to an admin who confirms an order again while it is done.
    sentence("admin_question_working", "This is being done. If nothing follows within a minute, tap once more."),
    # Translators: Shown over the chat to an admin who taps twice.
    sentence("admin_question_answered", "This was answered already."),
    # Translators: To admins: how many Stars the bot has; {stars} is "25 Stars".
    sentence("admin_balance", "Balance: {stars}"),
    # Translators: To admins: this version of aiogram cannot ask Telegram how many Stars the bot has.
    sentence("admin_balance_unknown", "The balance cannot be asked: aiogram 3.21 or newer is needed."),
    # Translators: Title of a report of sales, between two dates.
    sentence("admin_report", "Sales from {first} to {last} (UTC)"),
    # Translators: In a report of sales: how many payments, and how many Stars they brought.
    sentence("admin_report_paid", "Paid: {stars} ⭐, payments: {payments}"),
    # Translators: In a report of sales: how many refunds, and how many Stars went back.
    sentence("admin_report_refunded", "Refunded: {stars} ⭐, refunds: {refunds}"),
    # Translators: Title: Telegram's list of payments and the bot's own were compared and differed.
    sentence("admin_reconciled", "Telegram's ledger and ours differed"),
    # Translators: Title: Telegram's list of payments and the bot's own were compared and are alike.
    sentence("admin_reconciled_clean", "Telegram's ledger and ours agree"),
    # Translators: To admins: how many lines of Telegram's list were read, and from which date on.
    sentence("admin_reconciled_rows", "Rows read: {rows}, since {since} UTC"),
    # Translators: To admins: payments that the bot did not know; they are delivered now.
    sentence("admin_reconciled_payments", "Payments that were missing, delivered now: {n}"),
    # Translators: To admins: refunds that the bot did not know of.
    sentence("admin_reconciled_refunds", "Refunds made elsewhere: {n}"),
    # Translators: To admins: payments whose amount is not the same in both lists.
    sentence("admin_reconciled_amounts", "Amounts that differ: {n}"),
    # Translators: To admins: lines of Telegram's list that are only minutes old and looked at again later.
    sentence("admin_reconciled_waiting", "Too young to judge: {n}"),
    # Translators: To admins: by how many Stars the balance is not what the list makes of it, with a sign.
    sentence("admin_reconciled_drift", "The balance is off by {stars} ⭐."),
)
