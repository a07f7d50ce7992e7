// Owns the live list of updates to the bot and calls of the bot.

import { get } from "./api.js";
import { byId, el, toast, withStars } from "./dom.js";
import { keepFocus } from "./focus.js";
import { jsonTree } from "./json.js";

const KEPT = 150;
const CHOICES = [["all", "All"], ["update", "Updates"], ["call", "Calls"], ["bad", "Failed"]];
let lines = [];
let filter = "all";

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

/** The methods that the bot has called, for those who want to break one. */
export const methodsSeen = () => new Set(lines.filter((line) => line.kind === "call").map((line) => line.name));

const fits = (line) => filter === "all" || filter === line.kind || (filter === "bad" && line.bad);

function add(line) {
  lines = [line, ...lines].slice(0, KEPT);
  const list = byId("panel-activity").querySelector(".lines");
  if (!list) return drawActivity();
  if (!fits(line)) return;
  list.prepend(drawLine(line));
  while (list.children.length > KEPT) list.lastElementChild.remove();
  byId("panel-activity").querySelector(".nothing")?.remove();
}

const updateLine = (update) => ({
  kind: "update", time: update.time, name: update.kind, bad: false,
  note: update.repeated ? `#${update.update_id} again` : `#${update.update_id}`,
  details: { update_id: update.update_id, [update.kind]: update.content },
});

function callLine(call) {
  const details = call.error ? { params: call.params, error: call.error } : { params: call.params, result: call.result };
  const unknown = call.unknown?.length ? { "not parameters of this method": call.unknown } : {};
  const note = call.error ?? (call.unknown?.length ? `ignored: ${call.unknown.join(", ")}` : "ok");
  return { kind: "call", time: call.time, name: call.method, bad: Boolean(call.error), fault: call.fault, note, details: { ...details, ...unknown } };
}

function drawActivity() {
  const shown = lines.filter(fits);
  keepFocus(() => byId("panel-activity").replaceChildren(
    el("div", { class: "choices", role: "group", "aria-label": "What to show" }, CHOICES.map(([value, label]) =>
      el("button", {
        class: "chip", type: "button", "data-key": `show/${value}`, "aria-pressed": String(filter === value),
        onclick: () => { filter = value; drawActivity(); },
      }, label))),
    el("div", { class: "lines" }, shown.map(drawLine)),
    shown.length ? "" : el("p", { class: "nothing" }, filter === "bad" ? "No call has failed." : "Updates to the bot and its calls appear here.")));
}

function drawLine(line) {
  const details = el("details", { class: `line ${line.kind}${line.bad ? " bad" : ""}` },
    el("summary", {},
      el("span", { class: "way", "aria-hidden": "true" }, line.kind === "update" ? "\u2193" : "\u2191"),
      el("span", { class: "line-name" }, el("span", { class: "unseen" }, line.kind === "update" ? "update " : "call "), line.name),
      el("span", { class: "line-note" }, withStars(line.note)),
      line.fault && el("span", { class: "fault-mark" }, `fault ${line.fault}`),
      el("time", {}, new Date(line.time * 1000).toLocaleTimeString("en-GB"))));
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector(".json")) details.append(jsonTree(line.details), copyButton(line.details));
  }, { once: true });
  return details;
}

function copyButton(value) {
  const copy = async () => {
    await navigator.clipboard?.writeText(JSON.stringify(value, null, 2));
    toast("Copied", "good");
  };
  return el("button", { class: "link-button", type: "button", onclick: copy }, "Copy JSON");
}
