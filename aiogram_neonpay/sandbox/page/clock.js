// Owns the clock at the foot of the inspector: what it shows, moving it, stopping it.

import { post } from "./api.js";
import { byId, dayName, el, icon, labelled, setPresent, toast } from "./dom.js";
import { closeButton, closeSheet, show, title } from "./sheet.js";

const SKIPS = [["10 s", 10], ["1 h", 3600], ["1 day", 86400], ["30 days", 2592000]];
let running = null;
let present = 0;

export function setUpClock() {
  byId("clock").append(
    el("span", { class: "clock-now", id: "clock-now" }),
    el("button", { class: "icon-button small", type: "button", id: "clock-run", onclick: () => change({ running: !running }) }),
    el("span", { class: "clock-skips" },
      SKIPS.map(([label, seconds]) => el("button", {
        type: "button", class: "chip", "aria-label": `Move the clock forward by ${label}`, onclick: () => change({ seconds }),
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
    await post("/clock", body);
  } catch (error) {
    toast(error.message, "bad");
  }
}

function chooseMoment() {
  const here = new Date(present * 1000).getTimezoneOffset() * 60; // the field knows nothing of time zones
  const shown = new Date((present - here) * 1000).toISOString().slice(0, 16);
  const field = el("input", { id: "moment", type: "datetime-local", value: shown, required: true, autofocus: true });
  const save = (event) => {
    event.preventDefault();
    closeSheet();
    change({ moment: new Date(field.value).getTime() / 1000 });
  };
  show(closeButton(), title("Move the clock"),
    el("p", { class: "verdict" }, "Time only goes forward. Renewals, deadlines and retries on the way happen in their order."),
    el("form", { class: "form", onsubmit: save },
      labelled("To this moment", field),
      el("button", { class: "main-button", type: "submit" }, "Move")));
}
