// Owns the screen of a person's subscriptions: the next charge, cancelling, restoring, a charge that failed.

import { get, post } from "./api.js";
import { byId, dayName, el, icon, moment, periodWords, stars, starWords, toast, withStars } from "./dom.js";
import { attempt, closeButton, closeSheet, done, fact, hero, show, title } from "./sheet.js";

let noticed = "";

/** How a subscription stands, in words. */
export function stateWords(item) {
  const until = dayName(item.until);
  if (item.state === "active") return `next charge on ${until}`;
  if (item.state === "canceled") return item.canceled_by_bot ? `canceled by the bot, ends on ${until}` : `canceled, ends on ${until}`;
  if (item.state === "failed") return `not paid since ${until}`;
  return `ended on ${until}`;
}

const goesOn = (item) => item.can_cancel || item.state === "canceled";

/** Show everything the person has subscribed to, the running ones first. */
export async function openSubscriptions(user) {
  await attempt(async () => {
    const { subscriptions } = await get(`/users/${user.id}/subscriptions`);
    const parts = [["Running", subscriptions.filter(goesOn)], ["Ended", subscriptions.filter((item) => !goesOn(item))]];
    show(
      closeButton(), title("Subscriptions"),
      parts.filter(([, items]) => items.length).map(([name, items]) => [
        el("h3", { class: "part" }, name),
        el("ul", { class: "subscriptions" }, items.map((item) => line(user, item))),
      ]).flat(),
      !subscriptions.length && el("p", { class: "verdict" }, `${user.name} has no subscriptions. A bot offers one by a link; the price is charged again every month.`),
      done("Done"));
  });
}

function line(user, item) {
  return el("li", {}, el("button", { class: `subscription ${item.state}`, type: "button", onclick: () => detail(user, item) },
    icon(item.state === "failed" ? "warn" : "repeat"),
    el("span", { class: "entry-main" },
      el("strong", {}, withStars(item.title)),
      el("span", { class: "entry-date" }, `${item.bot_name}, ${stateWords(item)}`)),
    el("span", { class: "entry-sum" }, stars(item.amount), el("small", {}, ` / ${periodWords(item.period)}`))));
}

function detail(user, item) {
  const act = (what, words) => () => attempt(async () => {
    await post(`/users/${user.id}/subscriptions/${what}`, { charge_id: item.charge_id });
    closeSheet();
    toast(`${item.title}: ${words}`, "good");
  });
  show(
    closeButton(),
    hero(item.state === "failed" ? "warn" : "repeat", { active: "good", failed: "bad" }[item.state] ?? "calm"),
    title(item.title),
    el("dl", { class: "facts" },
      el("p", { class: "fact-text" }, withStars(item.description)),
      fact("Bot", item.bot_name),
      fact("Price", stars(item.amount), ` / ${periodWords(item.period)}`),
      fact("Since", dayName(item.started)),
      fact("Payments", item.payments),
      fact(item.can_cancel && item.state === "active" ? "Next charge" : goesOn(item) ? "Paid until" : "Ended", moment(item.until))),
    el("p", { class: `verdict ${item.state}` }, advice(item)),
    item.short > 0 && el("button", { class: "main-button", type: "button", autofocus: true, onclick: () => topUp(user, item) }, "Top up ", stars(item.short)),
    item.can_restore && el("button", { class: "main-button", type: "button", autofocus: true, onclick: act("restore", "renews again") }, "Renew again"),
    item.can_cancel && el("button", { class: "plain-button bad", type: "button", onclick: act("cancel", "will not be renewed") }, "Cancel subscription"),
    el("button", { class: "plain-button", type: "button", onclick: () => openSubscriptions(user) }, "All subscriptions"));
}

function advice(item) {
  if (item.state === "failed" && item.can_cancel) {
    return `The last charge failed: ${starWords(item.short || item.amount)} ${item.short ? "are missing" : "are due"}. It will be tried again.`;
  }
  if (item.state === "failed") return "The last charge failed, and it ended. Only the bot's link begins another.";
  if (item.state === "canceled" && item.can_restore) return "You will not be charged again, and keep what you paid for until it ends.";
  if (item.state === "canceled") return "The bot has ended this. It cannot be renewed unless the bot allows it.";
  if (item.state === "expired") return "It is over. Only the bot's link begins another.";
  return item.short > 0
    ? `You need ${starWords(item.short, "more ")} before the next charge, or it fails.`
    : "Charged by itself. You can cancel at any time and keep what you paid for.";
}

function topUp(user, item) {
  return attempt(async () => {
    await post(`/users/${user.id}/stars`, { amount: item.short });
    closeSheet();
    toast(`${user.name} has ${starWords(item.short, "more ")}`, "good");
  });
}

const WEEK = 7 * 86400;

/** What the person should know about their subscriptions to the bot they talk to: a line, or nothing. */
export function drawNotice(user, mine, now) {
  const short = mine.find((item) => item.can_cancel && item.short > 0);
  const failed = mine.find((item) => item.state === "failed" && now - item.until < WEEK);
  const about = short ?? failed;
  const shape = JSON.stringify([user.id, about?.charge_id, about?.state, about?.short]);
  if (shape === noticed) return;
  noticed = shape;
  const words = short && short.state !== "failed"
    ? [`${short.title} will not be renewed on ${dayName(short.until)}: `, starWords(short.short, "more "), " needed."]
    : about && [`${about.title} could not be renewed: there were not enough Stars.`];
  byId("notice").replaceChildren(...(about ? [el("p", { class: "notice" }, el("span", {}, words),
    el("button", { class: "link-button", type: "button", onclick: () => detail(user, about) }, short ? "Top up" : "Details"))] : []));
}
