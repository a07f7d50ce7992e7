// Owns the panel beside the chat: balances, ledgers, refunds, the live list of updates and calls, the clock.

import { get, post } from "./api.js";
import { byId, clockTime, dayName, el, icon, stars, starWords, toast, withStars } from "./dom.js";
import { keepFocus } from "./focus.js";
import { openTopUp } from "./sheets.js";

const KEPT = 150;
let lines = [];
let filter = "all";

export function setUpInspector() {
  const tabs = [byId("tab-money"), byId("tab-activity")];
  const choose = (chosen) => {
    for (const tab of tabs) {
      const on = tab === chosen;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = !on;
    }
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const next = tabs[(index + 1) % tabs.length];
      choose(next);
      next.focus();
    });
  });
  const skip = (label, seconds) => el("button", {
    type: "button", class: "chip", "aria-label": `Move the clock forward by ${label}`,
    onclick: () => post("/clock", { seconds }).catch((error) => toast(error.message, "bad")),
  }, `+${label}`);
  byId("clock").append(
    el("span", { class: "clock-now", id: "clock-now" }),
    el("span", { class: "clock-skips" }, skip("10 s", 10), skip("1 day", 86400), skip("30 days", 2592000)));
}

export function drawClock(now) {
  byId("clock-now").textContent = `${dayName(now)}, ${clockTime(now)}`;
}

/** Reload and redraw balances and ledgers of the chosen person and bot. */
export async function drawMoney(user, bot) {
  const [mine, theirs] = await Promise.all([
    get(`/users/${user.id}/history`),
    get(`/bots/${bot.id}/transactions`),
  ]);
  keepFocus(() => byId("panel-money").replaceChildren(
    account(user.name, user.stars,
      el("button", { class: "chip", type: "button", "data-key": "top-up", onclick: () => openTopUp(user) }, icon("plus"), "Top up")),
    ledger("Your Stars", mine.history.map((row) => el("li", { class: "entry" },
      el("div", { class: "entry-main" },
        el("span", { class: "entry-title" }, withStars(row.title)),
        el("span", { class: "entry-date" }, when(row.date))),
      el("span", { class: `entry-sum ${row.amount < 0 ? "out" : "in"}` }, stars(row.amount, { sign: true })))),
    "Nothing bought yet."),
    account(bot.name, theirs.balance),
    ledger("Sales and refunds", theirs.transactions.map(transaction), "No sales yet.")));
}

function account(name, amount, action) {
  return el("div", { class: "account" },
    el("div", {}, el("div", { class: "account-name" }, withStars(name)), el("div", { class: "account-sum" }, stars(amount))),
    action);
}

function ledger(caption, rows, nothing) {
  return el("section", { class: "ledger" },
    el("h3", {}, caption),
    rows.length ? el("ul", { class: "entries" }, rows) : el("p", { class: "nothing" }, nothing));
}

function transaction(row) {
  const amount = row.outgoing ? -row.amount : row.amount;
  const refundable = !row.outgoing && !row.refunded;
  const key = `${row.outgoing ? "refund" : "sale"}/${row.id}`;
  return el("li", { class: "entry", "data-key": key },
    el("div", { class: "entry-main" },
      el("span", { class: "entry-title" }, withStars(row.outgoing ? `Refund: ${row.title}` : row.title)),
      el("span", { class: "entry-date" }, `${row.user}, ${when(row.date)}`, row.refunded && !row.outgoing ? ", refunded" : "")),
    el("span", { class: `entry-sum ${amount < 0 ? "out" : "in"}` }, stars(amount, { sign: true })),
    refundable && el("button", {
      class: "chip", type: "button", "data-key": `${key}/back`, "aria-label": `Refund ${starWords(row.amount)} to ${row.user} for ${row.title}`,
      onclick: (event) => refund(event.currentTarget, row),
    }, "Refund"));
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

const when = (date) => `${dayName(date)}, ${clockTime(date)}`;

// --- activity ---

export async function loadActivity() {
  lines = [];
  const log = await get("/log");
  const loaded = [...log.updates.map(updateLine), ...log.calls.map(callLine)];
  const known = new Set(loaded.map((line) => JSON.stringify(line)));
  const meanwhile = lines.filter((line) => !known.has(JSON.stringify(line)));
  lines = [...meanwhile, ...loaded].sort((one, other) => other.time - one.time).slice(0, KEPT);
  drawActivity();
}

export function addUpdate(update) {
  add(updateLine(update));
}

export function addCall(call) {
  add(callLine(call));
}

function add(line) {
  lines = [line, ...lines].slice(0, KEPT);
  const list = byId("panel-activity").querySelector(".lines");
  if (!list) return drawActivity();
  if (filter === "all" || filter === line.kind) list.prepend(drawLine(line));
  while (list.children.length > KEPT) list.lastElementChild.remove();
  byId("panel-activity").querySelector(".nothing")?.remove();
}

const updateLine = (update) => ({
  kind: "update", time: update.time, name: update.kind, bad: false,
  note: update.repeated ? `#${update.update_id} again` : `#${update.update_id}`,
  details: { update_id: update.update_id, [update.kind]: update.content },
});

const callLine = (call) => ({
  kind: "call", time: call.time, name: call.method, bad: Boolean(call.error), note: call.error ?? "ok",
  details: call.error ? { params: call.params, error: call.error } : { params: call.params, result: call.result },
});

function drawActivity() {
  const choices = [["all", "All"], ["update", "Updates"], ["call", "Calls"]];
  const shown = lines.filter((line) => filter === "all" || filter === line.kind);
  keepFocus(() => byId("panel-activity").replaceChildren(
    el("div", { class: "choices", role: "group", "aria-label": "What to show" }, choices.map(([value, label]) =>
      el("button", {
        class: "chip", type: "button", "data-key": `show/${value}`, "aria-pressed": String(filter === value),
        onclick: () => { filter = value; drawActivity(); },
      }, label))),
    el("div", { class: "lines" }, shown.map(drawLine)),
    shown.length ? "" : el("p", { class: "nothing" }, "Updates to the bot and its calls appear here.")));
}

function drawLine(line) {
  const details = el("details", { class: `line ${line.kind}${line.bad ? " bad" : ""}` },
    el("summary", {},
      el("span", { class: "way", "aria-hidden": "true" }, line.kind === "update" ? "\u2193" : "\u2191"),
      el("span", { class: "line-name" }, el("span", { class: "unseen" }, line.kind === "update" ? "update " : "call "), line.name),
      el("span", { class: "line-note" }, withStars(line.note)),
      el("time", {}, new Date(line.time * 1000).toLocaleTimeString("en-GB"))));
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector("pre")) {
      details.append(el("pre", { tabindex: "0" }, withStars(JSON.stringify(line.details, null, 2))));
    }
  });
  return details;
}
