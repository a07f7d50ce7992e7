// Owns breaking things: the form with which faults are ordered, the list of those there are, and what they struck.

import { get, post, remove } from "./api.js";
import { methodsSeen } from "./activity.js";
import { byId, choice, el, icon, labelled, toast, withStars } from "./dom.js";
import { keepFocus } from "./focus.js";

const METHODS = [
  "answerCallbackQuery", "answerPreCheckoutQuery", "createInvoiceLink", "editMessageText", "editUserStarSubscription", "getMyStarBalance",
  "getStarTransactions", "getUpdates", "refundStarPayment", "sendInvoice", "sendMessage", "sendPaidMedia",
];
const UPDATES = [
  ["successful_payment", "successful_payment"], ["refunded_payment", "refunded_payment"], ["pre_checkout_query", "pre_checkout_query"],
  ["subscription", "subscription"], ["purchased_paid_media", "purchased_paid_media"], ["callback_query", "callback_query"], ["message", "message"], ["*", "every update"],
];

// What can be ordered. `seconds` is the name of the argument that takes a number, and its usual value.
const PRESETS = {
  flood: { text: "Flood control (429)", call: { error: 429 }, seconds: ["retry_after", 3, "Wait to ask for, seconds"] },
  down: { text: "Server error (502), nothing done", call: { error: 502 } },
  downAfter: { text: "Server error (502), though it was done", call: { error: 502, when: "after" } },
  timeout: { text: "Timeout, nothing done", call: {}, seconds: ["hang", 30, "Silence, seconds"] },
  timeoutAfter: { text: "Timeout, though it was done", call: { when: "after" }, seconds: ["hang", 30, "Silence, seconds"] },
  cut: { text: "Connection cut, though it was done", call: { drop: true, when: "after" } },
  slow: { text: "Slow network", call: {}, seconds: ["slow", 2, "Delay, seconds"], always: true },
  lost: { text: "Update lost", update: { drop: true } },
  again: { text: "Update repeated", update: { repeat: 1 } },
  late: { text: "Update late", update: {}, seconds: ["delay", 60, "Delay, seconds of the sandbox's clock"] },
  behind: { text: "Update out of order", update: { reorder: true } },
  blocked: { text: "Person blocks the bot" },
};
const OFTEN = [["1", "once"], ["3", "3 times"], ["half", "half the time"], ["always", "every time"]];

let chosen = "flood";
let shape = "";

/** Reload the rules and draw them; `scene` has `me`, `bot`, `users`, and `blocked`: whether I have blocked the bot. */
export async function drawFaults(scene) {
  const { faults } = await get("/faults");
  const active = faults.filter((rule) => rule.left !== 0).length + (scene.blocked ? 1 : 0);
  byId("tab-faults").replaceChildren("Faults", active ? el("span", { class: "count" }, active, el("span", { class: "unseen" }, " active")) : "");
  const key = JSON.stringify([scene.me?.id, scene.bot?.id, scene.users.map((user) => [user.id, user.name])]);
  if (key !== shape) {
    shape = key;
    byId("panel-faults").replaceChildren(el("div", { id: "fault-form" }), el("div", { id: "fault-list" }));
    drawForm(scene);
  }
  keepFocus(() => byId("fault-list").replaceChildren(...list(faults, scene)));
}

// --- ordering ---

function drawForm(scene) {
  const preset = PRESETS[chosen];
  const presets = Object.entries(PRESETS).map(([id, { text }]) => [id, text]);
  const redraw = (event) => {
    chosen = event.target.value;
    drawForm(scene);
    byId("fault-what").focus();
  };
  byId("fault-form").replaceChildren(el("form", { class: "form faults", onsubmit: (event) => order(event, scene) },
    labelled("What goes wrong", choice("fault-what", presets, chosen, redraw)),
    preset.call && labelled("Method", el("input", {
      id: "fault-method", value: preset.always ? "*" : "sendMessage", list: "fault-methods", required: true, autocomplete: "off", spellcheck: "false",
    })),
    preset.call && el("datalist", { id: "fault-methods" },
      ["*", ...new Set([...methodsSeen(), ...METHODS])].map((value) => el("option", { value }, value === "*" ? "every method but getUpdates" : ""))),
    preset.update && labelled("Update", choice("fault-update", UPDATES, "successful_payment")),
    preset.seconds && labelled(preset.seconds[2], el("input", { id: "fault-seconds", type: "number", min: "1", max: "86400", value: preset.seconds[1], required: true })),
    (preset.call || preset.update) && labelled("Whom it is about", choice("fault-user", [["", "anybody"], ...scene.users.map((user) => [user.id, user.name])], "")),
    (preset.call || preset.update) && labelled("How often", choice("fault-often", OFTEN, preset.always ? "always" : "1")),
    chosen === "blocked" && el("p", { class: "nothing" }, `${scene.me.name} blocks ${scene.bot.name}: what it sends gets a 403.`),
    el("button", { class: "main-button", type: "submit" }, chosen === "blocked" ? "Block" : "Add fault")));
}

async function order(event, scene) {
  event.preventDefault();
  const preset = PRESETS[chosen];
  try {
    if (chosen === "blocked") await post(`/users/${scene.me.id}/block`, { bot_id: scene.bot.id, blocked: true });
    else await post("/faults", wanted(preset));
  } catch (error) {
    toast(error.message, "bad");
  }
}

function wanted(preset) {
  const often = byId("fault-often").value;
  const user = byId("fault-user").value;
  return {
    ...(preset.call ? { method: byId("fault-method").value.trim(), ...preset.call } : { update: byId("fault-update").value, ...preset.update }),
    ...(preset.seconds ? { [preset.seconds[0]]: Number(byId("fault-seconds").value) } : {}),
    ...(user ? { user: Number(user) } : {}),
    ...(often === "half" ? { probability: 0.5 } : often === "always" ? {} : { times: Number(often) }),
  };
}

// --- what there is ---

function list(rules, scene) {
  const lines = rules.map((rule) => line(rule, scene));
  if (scene.blocked) lines.unshift(blockedLine(scene));
  if (!lines.length) return [el("p", { class: "nothing" }, "Nothing is broken. A fault strikes the calls or updates it fits, and is counted here.")];
  return [
    el("div", { class: "list-head" }, el("h3", {}, "Faults"),
      rules.length > 1 && el("button", { class: "link-button", type: "button", "data-key": "faults/clear", onclick: () => attempt(() => remove("/faults")) }, "Remove all")),
    el("ul", { "aria-label": "Faults" }, lines),
  ];
}

function line(rule, scene) {
  const name = effect(rule);
  return el("li", { class: `entry fault${rule.left === 0 ? " over" : ""}`, "data-key": `fault/${rule.id}` },
    el("div", { class: "entry-main" },
      el("span", { class: "entry-title" }, `${rule.id}. ${fitting(rule)}: ${name}`),
      el("span", { class: "entry-date" }, [about(rule, scene), counts(rule)].filter(Boolean).join("; "))),
    el("button", {
      class: "icon-button small", type: "button", "data-key": `fault/${rule.id}/remove`, "aria-label": `Remove fault ${rule.id}`,
      onclick: () => attempt(() => remove(`/faults/${rule.id}`)),
    }, icon("close")));
}

function blockedLine({ me, bot }) {
  return el("li", { class: "entry fault" },
    el("div", { class: "entry-main" },
      el("span", { class: "entry-title" }, withStars(`${me.name} has blocked ${bot.name}`)),
      el("span", { class: "entry-date" }, "what it sends gets a 403")),
    el("button", {
      class: "link-button", type: "button", onclick: () => attempt(() => post(`/users/${me.id}/block`, { bot_id: bot.id, blocked: false })),
    }, "Unblock"));
}

const fitting = (rule) => (rule.method === "*" ? "every call" : rule.update === "*" ? "every update" : rule.method ?? rule.update);

function effect(rule) {
  const late = rule.when === "after" ? ", though done" : "";
  if (rule.error) return `${rule.error}${rule.retry_after ? `, retry after ${rule.retry_after} s` : ""}${rule.text ? `, ${rule.text}` : ""}${late}`;
  if (rule.hang) return `no answer for ${rule.hang} s${late}`;
  if (rule.slow) return `${rule.slow} s slower`;
  if (rule.repeat) return `repeated${rule.repeat > 1 ? ` ${rule.repeat} times` : ""}`;
  if (rule.delay) return `${rule.delay} s late`;
  if (rule.reorder) return "behind the next one";
  return rule.method ? `connection cut${late}` : "lost";
}

function about(rule, { users }) {
  const user = users.find((item) => item.id === rule.user);
  return [
    user && `about ${user.name}`,
    rule.chat && `chat ${rule.chat}`,
    rule.probability < 1 && `${Math.round(rule.probability * 100)} % of the time`,
    rule.skip && `after the first ${rule.skip}`,
  ].filter(Boolean).join(", ");
}

function counts(rule) {
  if (!rule.met) return rule.times ? `strikes ${rule.times === 1 ? "once" : `${rule.times} times`}, has met nothing yet` : "has met nothing yet";
  const struck = rule.times ? `struck ${rule.struck} of ${rule.times}` : `struck ${rule.struck} of ${rule.met} met`;
  return rule.left === 0 ? `${struck}, over` : struck;
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    toast(error.message, "bad");
  }
}
