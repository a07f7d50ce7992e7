// Owns inline mode: "@bot something" in the message field asks the bot, and its results are offered above the field.

import { el, withStars } from "./dom.js";

const PAUSE = 250; // milliseconds without a key before the bot is asked
let timer = null;
let latest = 0;

/** Ask the bot that a text is for, if it is for one; `found` gets its results, or `null` for an ordinary text. */
export function askInline(text, actions, found) {
  clearTimeout(timer);
  latest += 1;
  const mine = latest;
  const bot = actions.inlineBot(text);
  if (!bot) return found(null);
  timer = setTimeout(async () => {
    const results = await actions.inline(bot, text.slice(bot.username.length + 2));
    if (mine === latest && results) found({ bot, results });
  }, PAUSE);
}

/** Draw the results as lines; `choose` gets the one that is tapped. */
export function drawResults({ bot, results }, choose) {
  if (!results.length) return [el("p", { class: "nothing" }, `${bot.name} has no results.`)];
  return results.map((result) => el("button", { class: "suggestion", type: "button", onclick: () => choose(bot, result) },
    el("strong", {}, withStars(result.title ?? result.id)), el("span", {}, withStars(result.description ?? ""))));
}
