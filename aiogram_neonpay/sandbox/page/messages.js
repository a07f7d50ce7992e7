// Owns drawing messages: bubbles, keyboards, invoice cards, receipts and service lines.

import { avatar, clockTime, dayName, el, icon, periodWords, stars, withStars } from "./dom.js";
import { drawFiles, drawNote, drawPaidMedia, isPicture, isSticker } from "./media.js";
import { richText } from "./text.js";

const drawn = new Map(); // message id -> {key, node}

/** Bring the list on the page in line with `messages`, touching only what has changed. */
export function drawMessages(list, all, context) {
  const wanted = [];
  const messages = withAlbums(all);
  if (context.earlier) wanted.push(pill(`${context.earlier.toLocaleString("en")} earlier messages are not shown`));
  messages.forEach((message, index) => {
    const before = messages[index - 1];
    const after = messages[index + 1];
    if (!before || dayName(before.date) !== dayName(message.date)) wanted.push(pill(dayName(message.date)));
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

/** The messages, those of an album made one: its files together, with the text that one of them has. */
function withAlbums(messages) {
  const merged = [];
  for (const message of messages) {
    const before = merged.at(-1);
    if (!message.album || before?.album !== message.album) merged.push(message);
    else merged[merged.length - 1] = joinedAlbum(before, message);
  }
  return merged;
}

function joinedAlbum(before, message) {
  const spoken = before.text ? before : message;
  return { ...before, files: [...before.files, ...message.files ?? []], text: spoken.text, entities: spoken.entities };
}

const pills = new Map(); // kept, so that what is only drawn again is not read out again
function pill(words) {
  if (!pills.has(words)) pills.set(words, el("div", { class: "service" }, el("span", { class: "pill" }, words)));
  return pills.get(words);
}

const isService = (message) => message.successful_payment || message.refunded_payment || message.service;

function joined(one, other) {
  if (!one || !other || isService(one) || isService(other)) return false;
  return one.author.id === other.author.id && other.date - one.date < 300 && dayName(one.date) === dayName(other.date);
}

function drawMessage(message, place, context) {
  if (message.successful_payment) return paidLine(message, context);
  if (message.refunded_payment) return refundLine(message, context);
  if (message.service) return el("div", { class: "service" }, el("span", { class: "pill" }, message.note));
  const mine = message.author.id === context.me;
  const inGroup = context.chat.type !== "private";
  const named = inGroup && !mine;
  const classes = ["row", mine ? "mine" : "theirs", place.first && "first", place.last && "last", named && "named", message.edited && "edited"];
  const kind = message.invoice ? " has-card" : isSticker(message) ? " bare" : isPicture(message) ? " has-picture" : "";
  const bubble = el("div", { class: `bubble${kind}` },
    named && place.first && el("div", { class: `author tone-text-${Math.abs(message.author.id) % 7}` }, withStars(message.author.name)),
    message.forwarded_from && el("div", { class: "via" }, "Forwarded from ", el("strong", {}, withStars(message.forwarded_from))),
    message.via && el("div", { class: "via" }, "via @", message.via),
    message.reply_to && replied(message, context),
    content(message, context),
    stamp(message, mine));
  const tools = el("button", {
    class: "icon-button small tools", type: "button", "aria-label": "Message menu", "aria-haspopup": "menu", "data-key": `${keyOf(message, context)}/menu`,
    onclick: (event) => context.actions.messageMenu(message, event.currentTarget),
  }, icon("more"));
  return el("article", {
    class: classes.filter(Boolean).join(" "), "data-key": keyOf(message, context),
    oncontextmenu: (event) => {
      if (event.target.closest("a, img") || String(getSelection())) return; // the browser's own menu is of use there
      event.preventDefault();
      context.actions.messageMenu(message, tools);
    },
  },
  named && el("span", { class: "beside" }, place.last ? avatar(message.author.id, message.author.name) : null),
  el("div", { class: "stack" }, bubble, keyboard(message, context), message.reactions && el("div", { class: "reactions" }, message.reactions.map((emoji) => el("span", {}, emoji)))),
  tools);
}

function content(message, context) {
  if (message.invoice) return invoiceCard(message, context);
  const { paid_media: paid } = message;
  return [
    message.files && drawFiles(message.files),
    paid && drawPaidMedia(paid, () => context.actions.unlock(message), `${keyOf(message, context)}/unlock`),
    message.note && drawNote(message.note),
    (message.text || !(message.files || paid || message.note)) && el("div", { class: "text" }, richText(message.text, message.entities, context.actions)),
  ];
}

function replied(message, context) {
  const { id, name, text } = message.reply_to;
  const go = () => document.querySelector(`[data-key="${CSS.escape(keyOf({ id }, context))}"]`)?.scrollIntoView({ block: "center" });
  return el("button", { class: "reply", type: "button", onclick: go }, el("strong", {}, withStars(name)), el("span", {}, withStars(text)));
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
  const { receipt, amount, renewal } = message.successful_payment;
  const period = receipt?.subscription_period;
  const each = period ? ` / ${periodWords(period)}` : "";
  const title = receipt ? el("strong", {}, withStars(receipt.title)) : null;
  if (renewal) return serviceLine(message, context, receipt, [title ?? "Your subscription", " was renewed for ", stars(amount)]);
  return serviceLine(message, context, receipt, [period ? "You subscribed to " : "You paid ", period ? [title, " for "] : "", stars(amount), each, !period && title ? [" for ", title] : ""]);
}

function refundLine(message, context) {
  const { receipt, amount } = message.refunded_payment;
  return serviceLine(message, context, receipt, ["You got back ", stars(amount), receipt ? [" for ", el("strong", {}, withStars(receipt.title))] : ""]);
}

function serviceLine(message, context, receipt, words) {
  return el("div", { class: "service" },
    el("button", { class: "pill", type: "button", "data-key": keyOf(message, context), onclick: () => receipt && context.actions.receipt(receipt) }, words));
}
