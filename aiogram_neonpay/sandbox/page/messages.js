// Owns drawing messages: bubbles, keyboards, invoice cards, receipts and service lines.

import { avatar, clockTime, dayName, el, icon, stars, withStars } from "./dom.js";
import { richText } from "./text.js";

const drawn = new Map(); // message id -> {key, node}

/** Bring the list on the page in line with `messages`, touching only what has changed. */
export function drawMessages(list, messages, context) {
  const wanted = [];
  messages.forEach((message, index) => {
    const before = messages[index - 1];
    const after = messages[index + 1];
    if (!before || dayName(before.date) !== dayName(message.date)) wanted.push(dayLine(message.date));
    const place = { first: !joined(before, message), last: !joined(message, after) };
    const key = JSON.stringify([context.me, context.chat.chat_id, context.chat.bot_id, message, place]);
    let entry = drawn.get(message.id);
    if (!entry || entry.key !== key) {
      entry = { key, node: drawMessage(message, place, context) };
      drawn.set(message.id, entry);
    }
    wanted.push(entry.node);
  });
  const kept = new Set(wanted);
  [...list.children].forEach((node) => kept.has(node) || node.remove());
  wanted.forEach((node, index) => {
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
}

const days = new Map();
function dayLine(date) {
  const name = dayName(date);
  if (!days.has(name)) days.set(name, el("div", { class: "service" }, el("span", { class: "pill" }, name)));
  return days.get(name);
}

const isService = (message) => message.successful_payment || message.refunded_payment;

function joined(one, other) {
  if (!one || !other || isService(one) || isService(other)) return false;
  return one.author.id === other.author.id && other.date - one.date < 300 && dayName(one.date) === dayName(other.date);
}

function drawMessage(message, place, context) {
  if (message.successful_payment) return paidLine(message, context);
  if (message.refunded_payment) return refundLine(message, context);
  const mine = message.author.id === context.me;
  const inGroup = context.chat.type !== "private";
  const named = inGroup && !mine;
  const classes = ["row", mine ? "mine" : "theirs", place.first && "first", place.last && "last", named && "named"];
  const bubble = el("div", { class: `bubble${message.invoice ? " has-card" : ""}` },
    named && place.first && el("div", { class: `author tone-text-${Math.abs(message.author.id) % 7}` }, withStars(message.author.name)),
    message.via && el("div", { class: "via" }, "via @", message.via),
    message.reply_to && el("div", { class: "reply" }, el("strong", {}, withStars(message.reply_to.name)), el("span", {}, withStars(message.reply_to.text))),
    message.invoice ? invoiceCard(message, context) : el("div", { class: "text" }, richText(message.text, message.entities, context.actions)),
    stamp(message, mine));
  return el("article", { class: classes.filter(Boolean).join(" "), "data-key": keyOf(message, context) },
    named && el("span", { class: "beside" }, place.last ? avatar(message.author.id, message.author.name) : null),
    el("div", { class: "stack" }, bubble, keyboard(message, context)));
}

/** What names a message on the page, in whatever shape it is drawn. */
const keyOf = (message, { chat }) => `message/${chat.chat_id}/${chat.bot_id}/${message.id}`;

function stamp(message, mine) {
  return el("div", { class: "stamp" }, message.edited && "edited ", clockTime(message.date), mine && icon("ticks"));
}

// --- invoices ---

function invoiceCard(message, context) {
  const { invoice } = message;
  const receipt = invoice.receipt;
  const banner = invoice.photo_url
    ? el("img", { class: "photo", src: invoice.photo_url, alt: "", referrerpolicy: "no-referrer", onerror: (event) => event.target.remove() })
    : null;
  return el("div", { class: `card${receipt ? " paid" : ""}${receipt?.refunded ? " returned" : ""}` },
    banner,
    el("div", { class: "card-body" },
      el("div", { class: "card-kind" }, receipt ? (receipt.refunded ? "Refunded" : "Receipt") : "Invoice"),
      el("div", { class: "card-head" },
        el("div", { class: "card-title" }, withStars(invoice.title)),
        el("div", { class: "card-price" }, stars(invoice.amount))),
      el("div", { class: "card-text" }, withStars(invoice.description)),
      receipt && el("div", { class: `paid-mark${receipt.refunded ? " back" : ""}` },
        icon(receipt.refunded ? "undo" : "check"),
        receipt.refunded ? "Stars returned" : `Paid on ${dayName(receipt.date)}, ${clockTime(receipt.date)}`)));
}

function keyboard(message, context) {
  let rows = message.rows;
  const { invoice } = message;
  if (invoice && !rows.length) rows = [[{ text: `Pay XTR ${invoice.amount}`, kind: "pay" }]];
  if (!rows.length) return null;
  return el("div", { class: "keys" }, rows.map((row, rowIndex) =>
    el("div", { class: "keys-row" }, row.map((button, column) =>
      key(message, button, rowIndex, column, context)))));
}

function key(message, button, row, column, context) {
  const as = (kind, onclick) => ({ class: kind, type: "button", "data-key": `${keyOf(message, context)}/${row}/${column}`, onclick });
  if (button.kind === "pay" && message.invoice?.receipt) {
    return el("button", as("key", () => context.actions.receipt(message.invoice.receipt)), "Receipt");
  }
  if (button.kind === "pay") {
    return el("button", as("key pay", () => context.actions.pay(message)), payLabel(button.text));
  }
  const press = async (event) => {
    const target = event.currentTarget;
    target.classList.add("busy");
    target.setAttribute("aria-busy", "true");
    await context.actions.press(message, button, row, column);
    target.classList.remove("busy");
    target.removeAttribute("aria-busy");
  };
  return el("button", as("key", press),
    el("span", {}, withStars(button.text)), button.kind === "url" && icon("link", "corner"));
}

/** A star emoji or XTR in a Pay button's text is drawn as the Stars icon (Bot API, InlineKeyboardButton). */
function payLabel(text) {
  const parts = text.split(/\u2b50\ufe0f?|XTR/);
  const nodes = parts.flatMap((part, index) => (index ? [icon("star"), part.trim()] : [part.trim()])).filter(Boolean);
  return el("span", { class: "pay-label" },
    el("span", { class: "unseen" }, payWords(text)),
    el("span", { class: "pay-shown", "aria-hidden": "true" }, nodes));
}

/** The text of a Pay button as it is read out: "Pay XTR 1" is "Pay 1 Star". */
function payWords(text) {
  const counted = (_, number) => `${number} ${number === "1" ? "Star" : "Stars"}`;
  return text
    .replace(/(?:\u2b50\ufe0f?|XTR)\s*(\d+(?:[.,]\d+)*)/g, counted)
    .replace(/(\d+(?:[.,]\d+)*)\s*(?:\u2b50\ufe0f?|XTR)/g, counted)
    .replace(/\u2b50\ufe0f?|XTR/g, "Stars");
}

// --- service lines ---

function paidLine(message, context) {
  const { receipt, amount } = message.successful_payment;
  return el("div", { class: "service" },
    el("button", { class: "pill", type: "button", "data-key": keyOf(message, context), onclick: () => receipt && context.actions.receipt(receipt) },
      "You paid ", stars(amount), receipt ? [" for ", el("strong", {}, withStars(receipt.title))] : ""));
}

function refundLine(message, context) {
  const { receipt, amount } = message.refunded_payment;
  return el("div", { class: "service" },
    el("button", { class: "pill", type: "button", "data-key": keyOf(message, context), onclick: () => receipt && context.actions.receipt(receipt) },
      "You got back ", stars(amount), receipt ? [" for ", el("strong", {}, withStars(receipt.title))] : ""));
}
