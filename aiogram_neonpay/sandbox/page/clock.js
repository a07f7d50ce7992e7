// Owns the clock at the foot of the inspector: what it shows, moving it, stopping it.

import { get, post } from "./api.js";
import { byId, dayName, el, icon, labelled, setPresent, toast } from "./dom.js";
import { closeButton, closeSheet, show, title } from "./sheet.js";

/** How far the clock goes at once, in seconds: updates are kept for a day, and a bot should live to see them. */
const STRIDE = 72000;
const PATIENCE = 1000; // milliseconds for a bot to take what waits for it, before time goes on
const SKIPS = [["10 s", 10], ["1 h", 3600], ["1 day", 86400], ["30 days", 2592000]];
let running = null;
let present = 0;
let travelling = false;

export function setUpClock() {
  byId("clock").append(
    el("span", { class: "clock-now", id: "clock-now" }),
    el("button", { class: "icon-button small", type: "button", id: "clock-run", onclick: () => change({ running: !running }) }),
    el("span", { class: "clock-skips" },
      SKIPS.map(([label, seconds]) => el("button", {
        type: "button", class: "chip", "aria-label": `Move the clock forward by ${label}`, onclick: () => travel(seconds),
      }, `+${label}`)),
      el("button", { type: "button", class: "chip", "aria-label": "Move the clock to a moment", onclick: chooseMoment }, "To\u2026")));
}

export function drawClock(now, runs) {
  setPresent(now);
  present = now;
  byId("clock-now").textContent = `${dayName(now)}, ${new Date(now * 1000).toLocaleTimeString("en-GB")}${runs ? "" : ", stopped"}`;
  if (runs === running) return;
  running = runs;
  const button = byId("clock-run");
  button.setAttribute("aria-label", runs ? "Stop the clock" : "Let the clock run");
  button.title = button.getAttribute("aria-label");
  button.replaceChildren(icon(runs ? "pause" : "play"));
}

async function change(body) {
  try {
    return await post("/clock", body);
  } catch (error) {
    toast(error.message, "bad");
    return null;
  }
}

/** Move the clock, in strides: one leap would be time in which the bot was away. */
async function travel(seconds) {
  if (travelling) return;
  travelling = true;
  byId("clock").setAttribute("aria-busy", "true");
  let patient = true;
  for (let left = seconds; left > 0; left -= STRIDE) {
    if (!await change({ seconds: Math.min(left, STRIDE) })) break;
    if (left > STRIDE && patient) patient = await taken().catch(() => false);
  }
  travelling = false;
  byId("clock").removeAttribute("aria-busy");
}

/** Wait until every bot has taken its updates; tell whether they did. */
async function taken() {
  const end = performance.now() + PATIENCE;
  while (performance.now() < end) {
    const { bots } = await get("/state");
    if (!bots.some((bot) => bot.pending_updates)) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

function chooseMoment() {
  const here = new Date(present * 1000).getTimezoneOffset() * 60; // the field knows nothing of time zones
  const shown = new Date((present - here) * 1000).toISOString().slice(0, 16);
  const field = el("input", { id: "moment", type: "datetime-local", value: shown, required: true, autofocus: true });
  const save = (event) => {
    event.preventDefault();
    closeSheet();
    const seconds = new Date(field.value).getTime() / 1000 - present;
    if (seconds < 0) toast("The clock cannot go back", "bad");
    else travel(seconds);
  };
  show(closeButton(), title("Move the clock"),
    el("p", { class: "verdict" }, "Time only goes forward, in strides of less than a day: the bot takes its updates on the way."),
    el("form", { class: "form", onsubmit: save },
      labelled("To this moment", field),
      el("button", { class: "main-button", type: "submit" }, "Move")));
}
