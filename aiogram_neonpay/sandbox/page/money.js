// Owns the two ledgers side by side: what one person's Stars did, what the bot's did, and whose subscriptions run.

import { get, post } from "./api.js";
import { byId, dayName, el, icon, moment, periodWords, stars, starWords, toast, withStars } from "./dom.js";
import { keepFocus } from "./focus.js";
import { openPurse } from "./purse.js";
import { stateWords } from "./subscriptions.js";

/** Reload and redraw balances and ledgers of the chosen person and bot; `subscriptions` are everybody's to the bot. */
export async function drawMoney(user, bot, subscriptions) {
  const [mine, theirs] = await Promise.all([get(`/users/${user.id}/history`), get(`/bots/${bot.id}/transactions`)]);
  const lines = joined(mine.history, theirs.transactions);
  const hidden = theirs.total - theirs.transactions.length;
  keepFocus(() => byId("panel-money").replaceChildren(
    el("div", { class: "books" },
      account(user.name, user.stars,
        el("button", { class: "chip", type: "button", "data-key": "top-up", onclick: () => openPurse(user) }, icon("plus"), "Top up")),
      account(bot.name, theirs.balance, el("div", { class: "account-note" }, "Telegram's ledger"))),
    lines.length ? el("div", { class: "entry heads", "aria-hidden": "true" }, el("span"), el("span", {}, withStars(user.name)), el("span", {}, withStars(bot.name))) : "",
    lines.length
      ? el("ul", { class: "entries", "aria-label": "Both ledgers, newest first" }, lines.map((line) => entry(line, user, bot)))
      : el("p", { class: "nothing" }, "No Stars have moved yet."),
    hidden > 0 && el("p", { class: "nothing" }, `${hidden.toLocaleString("en")} older transactions are not shown.`) || "",
    subscriptions.length ? subscribers(subscriptions) : ""));
}

function account(name, amount, beneath) {
  return el("div", { class: "account" },
    el("div", { class: "account-name" }, withStars(name)),
    el("div", { class: "account-sum" }, stars(amount)),
    beneath);
}

/**
 * Both ledgers as one list, newest first: a line has `mine`, `theirs`, or both where they tell of one movement. A
 * movement is a charge and its direction: a sale and its refund have one id.
 */
function joined(mine, theirs) {
  const keyOfMine = (row) => (row.charge_id ? `${row.amount < 0 ? "sale" : "refund"}/${row.charge_id}` : null);
  const keyOfTheirs = (row) => `${row.outgoing ? "refund" : "sale"}/${row.id}`;
  const shared = new Set(theirs.map(keyOfTheirs));
  const byKey = new Map(mine.map((row) => [keyOfMine(row), row]));
  const alone = mine.filter((row) => !shared.has(keyOfMine(row)));
  const lines = [];
  for (const row of theirs) {
    while (alone.length && alone[0].date >= row.date) lines.push({ mine: alone.shift() });
    lines.push({ key: keyOfTheirs(row), mine: byKey.get(keyOfTheirs(row)), theirs: row });
  }
  return [...lines, ...alone.map((row) => ({ mine: row }))];
}

function entry({ key, mine, theirs }, user, bot) {
  const title = theirs ? (theirs.outgoing && theirs.refunded ? `Refund: ${theirs.title}` : theirs.title) : mine.title;
  const notes = [moment((theirs ?? mine).date)];
  if (theirs && !mine) notes.unshift(theirs.user);
  if (theirs?.refunded && !theirs.outgoing) notes.push("refunded");
  return el("li", { class: "entry", "data-key": key },
    el("div", { class: "entry-main" },
      el("span", { class: "entry-title" }, withStars(title)),
      el("span", { class: "entry-date" }, notes.join(", ")),
      theirs?.refundable && el("button", {
        class: "link-button", type: "button", "data-key": `${key}/back`, "aria-label": `Refund ${starWords(theirs.amount)} to ${theirs.user} for ${theirs.title}`,
        onclick: (event) => refund(event.currentTarget, theirs),
      }, "Refund")),
    sum(user.name, mine?.amount),
    sum(bot.name, theirs && (theirs.outgoing ? -theirs.amount : theirs.amount)));
}

function sum(name, amount) {
  if (amount === undefined) return el("span", { class: "entry-sum" });
  return el("span", { class: `entry-sum ${amount < 0 ? "out" : "in"}` }, el("span", { class: "unseen" }, `${name}: `), stars(amount, { sign: true }));
}

function subscribers(all) {
  return el("section", { class: "ledger" },
    el("h3", {}, "Subscriptions"),
    el("ul", {}, all.map((item) => el("li", { class: "entry" },
      el("div", { class: "entry-main" },
        el("span", { class: "entry-title" }, withStars(item.title)),
        el("span", { class: "entry-date" }, `${item.user_name}, since ${dayName(item.started)}: ${stateWords(item)}`)),
      el("span", { class: "entry-sum" }, stars(item.amount), el("small", {}, ` / ${periodWords(item.period)}`))))));
}

async function refund(button, row) {
  if (button.ariaDisabled) return; // not `disabled`: that would lose the focus
  button.ariaDisabled = "true";
  try {
    await post("/refund", { charge_id: row.id });
    toast(`${starWords(row.amount)} went back to ${row.user}`, "good");
  } catch (error) {
    button.ariaDisabled = null;
    toast(error.message, "bad");
  }
}
