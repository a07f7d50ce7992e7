// Owns the sheets of a purchase: confirm and pay, top up on the way, what a bot's refusal looks like to the payer.

import { get, post } from "./api.js";
import { el, moment, periodWords, stars, starWords, toast, withStars } from "./dom.js";
import { packs } from "./purse.js";
import { attempt, closeButton, closeSheet, done, fact, hero, holdSheet, isHeld, show, title } from "./sheet.js";

const SENTENCES = {
  BOT_PRECHECKOUT_TIMEOUT: "The bot did not answer within 10 seconds. Nothing was charged.",
  FORM_EXPIRED: "This form is older than 10 minutes. Open the invoice again.",
  BOT_PRECHECKOUT_FAILED: "The bot declined this payment.",
  MEDIA_ALREADY_PAID: "You have bought this already.",
};

/** Show the sheet of an invoice; `request` names it for the control API. */
export async function openPayment(userId, request) {
  try {
    const form = await post(`/users/${userId}/form`, request);
    confirmSheet({
      ...form, userId, asks: true,
      pay: () => post(`/users/${userId}/pay`, { form_id: form.form_id }),
      again: () => openPayment(userId, request),
    });
  } catch (error) {
    toast(error.message, "bad");
  }
}

/** Show the sheet with which paid media are bought; the bot is not asked. */
export async function openUnlock(userId, place, message) {
  const { stars: amount, media, bot_name: seller } = message.paid_media;
  const { users } = await get("/state");
  confirmSheet({
    userId, amount, bot_name: seller, balance: users.find((user) => user.id === userId).stars, asks: false,
    title: media.length === 1 ? "Paid media" : `${media.length} paid media`, description: "Shown to you as soon as it is paid.",
    pay: () => post(`/users/${userId}/unlock`, { ...place, message_id: message.id }),
    again: () => openUnlock(userId, place, message),
  });
}

/** `purchase` is what an invoice's form tells, with `pay`, which gives the receipt, and `again`, which starts over. */
function confirmSheet(purchase) {
  if (purchase.balance < purchase.amount) return topUpSheet(purchase);
  const { subscription_period: period, amount } = purchase;
  const each = period ? ` / ${periodWords(period)}` : "";
  const confirm = el("button", { class: "main-button", type: "button", autofocus: true },
    period ? "Subscribe for " : "Confirm and Pay ", stars(amount), each);
  confirm.addEventListener("click", () => isHeld() || submit(purchase, confirm));
  show(
    closeButton(),
    el("div", { class: "sheet-purse" }, el("span", {}, "Balance"), stars(purchase.balance)),
    picture(purchase.photo_url),
    title(period ? "Confirm your subscription" : "Confirm your purchase"),
    el("dl", { class: "facts" },
      el("div", { class: "fact lead" }, el("dt", {}, withStars(purchase.title)), el("dd", {}, stars(amount), each && el("small", {}, each))),
      el("p", { class: "fact-text" }, withStars(purchase.description)),
      fact("Seller", purchase.bot_name),
      period && fact("Charged", `every ${periodWords(period)}, until you cancel`),
      fact("Balance after", stars(purchase.balance - amount))),
    confirm,
    el("p", { class: "small-print" }, "Sandbox Stars have no value. ",
      purchase.asks ? "The bot decides before anything is charged." : "The bot is not asked before you are charged."));
}

function picture(url) {
  if (!url) return hero();
  return el("img", { class: "sheet-photo", src: url, alt: "", referrerpolicy: "no-referrer", onerror: (event) => event.target.replaceWith(hero()) });
}

async function submit(purchase, button) {
  holdSheet(true);
  button.ariaDisabled = "true"; // not `disabled`: that would lose the focus
  button.replaceChildren(el("span", { class: "spinner", "aria-hidden": "true" }), purchase.asks ? "Waiting for the bot\u2026" : "Paying\u2026");
  button.classList.add("waiting");
  let receipt;
  try {
    receipt = await purchase.pay();
  } catch (error) {
    receipt = { ok: false, error: error.message };
  }
  holdSheet(false);
  if (receipt.ok) {
    closeSheet();
    toast(`Paid: ${purchase.title} for ${starWords(purchase.amount)}`, "good");
  } else if (receipt.code === "BALANCE_TOO_LOW") {
    purchase.again(); // spent elsewhere meanwhile: its sheet asks for the Stars that are missing
  } else {
    declinedSheet(purchase, receipt);
  }
}

function declinedSheet(purchase, receipt) {
  const words = receipt.error && receipt.error !== receipt.code ? receipt.error : SENTENCES[receipt.code] ?? receipt.error;
  show(
    closeButton(),
    hero("close", "bad"),
    title("Payment not completed"),
    el("p", { class: "verdict", role: "alert" }, withStars(words)),
    el("p", { class: "small-print" }, `${purchase.bot_name} was not paid. Your Stars are untouched.`),
    done("OK"));
}

function topUpSheet(purchase) {
  const { amount, balance, userId } = purchase;
  const short = amount - balance;
  const buy = (pack) => attempt(async () => {
    await post(`/users/${userId}/stars`, { amount: pack });
    await purchase.again();
  });
  show(
    closeButton(),
    el("div", { class: "sheet-purse" }, el("span", {}, "Balance"), stars(balance)),
    hero(),
    title(`${starWords(short, "more ")} needed`),
    el("p", { class: "verdict" }, withStars(`${purchase.title} costs ${starWords(amount)}. Top up to go on; nothing has been charged yet.`)),
    packs(short, buy));
}

/** Show a receipt; `manage` opens the subscriptions, for receipts that are of one. */
export function openReceipt(receipt, manage) {
  const copy = async (event) => {
    const button = event.currentTarget;
    await navigator.clipboard?.writeText(receipt.charge_id);
    button.textContent = "Copied";
  };
  show(
    closeButton(),
    hero(receipt.refunded ? "undo" : "check", receipt.refunded ? "calm" : "good"),
    title(receipt.refunded ? "Refunded" : "Receipt"),
    el("dl", { class: "facts" },
      el("div", { class: "fact lead" }, el("dt", {}, withStars(receipt.title)), el("dd", {}, stars(receipt.amount))),
      el("p", { class: "fact-text" }, withStars(receipt.description)),
      fact("Seller", receipt.bot_name),
      fact("Date", moment(receipt.date)),
      receipt.subscription_until && fact("Paid until", moment(receipt.subscription_until)),
      fact("Transaction",
        el("code", { class: "charge" }, `${receipt.charge_id.slice(0, 14)}\u2026`),
        el("button", { class: "link-button", type: "button", onclick: copy }, "Copy"))),
    done("Done"),
    receipt.subscription_period && el("button", { class: "plain-button", type: "button", onclick: manage }, "Subscriptions"));
}
