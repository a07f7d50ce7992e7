// Owns the line below the title that says who is missing: a bot that does not listen, a sandbox that has stopped.

import { byId, el } from "./dom.js";

let shown = null;

/** Say what is wrong, if anything; `age` is how many seconds ago the sandbox told it. */
export function drawStatus({ lost, bot, age }) {
  const trouble = bot?.trouble;
  const kind = lost ? "lost" : trouble ? JSON.stringify([bot.name, trouble.kind, trouble.error]) : null;
  if (kind !== shown) {
    shown = kind;
    byId("status").replaceChildren(...(kind ? [el("p", { class: "status" }, lost ? LOST : words(bot, trouble))] : []));
  }
  const count = byId("status").querySelector("time");
  if (count) count.textContent = duration(trouble.seconds + age);
}

const LOST = "The sandbox has stopped; reconnecting\u2026";

function words(bot, trouble) {
  if (trouble.kind === "webhook") return `${bot.name} does not take its updates: ${trouble.error}.`;
  // The count is not announced: it would be read out every second.
  return [`${bot.name} is not listening: no getUpdates for `, el("time", { "aria-live": "off" }), " and no webhook. What you send waits for it."];
}

const duration = (seconds) => (seconds < 120 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min`);
