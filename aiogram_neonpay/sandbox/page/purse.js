// Owns the sheet of a person's Stars: balance, topping up, and the way to their subscriptions.

import { post } from "./api.js";
import { el, icon, labelled, stars, starWords, toast } from "./dom.js";
import { attempt, closeButton, closeSheet, hero, show, title } from "./sheet.js";
import { openSubscriptions } from "./subscriptions.js";

const PACKS = [10, 50, 100, 250, 500, 1000, 2500, 10000];

export function openPurse(user) {
  const buy = (amount) => attempt(async () => {
    await post(`/users/${user.id}/stars`, { amount });
    closeSheet();
    toast(`${user.name} has ${starWords(amount, "more ")}`, "good");
  });
  const field = el("input", { id: "other-amount", type: "number", min: "1", max: "1000000", required: true, inputmode: "numeric" });
  const other = (event) => {
    event.preventDefault();
    buy(Number(field.value));
  };
  show(
    closeButton(), hero(), title("Top up"),
    el("p", { class: "verdict" }, user.name, " has ", stars(user.stars), "."),
    packs(50, buy),
    el("form", { class: "form across", onsubmit: other },
      labelled("Another amount", field), el("button", { class: "chip big", type: "submit" }, "Add")),
    el("button", { class: "way-on", type: "button", onclick: () => openSubscriptions(user) },
      icon("repeat"), el("span", {}, "Subscriptions"), el("span", { class: "count" }, user.subscriptions || "")));
}

/** Buttons for buying Stars, `least` of them or more. */
export function packs(least, buy) {
  const shown = PACKS.filter((pack) => pack >= least).slice(0, 3);
  if (!shown.length) shown.push(least);
  return el("div", { class: "packs" }, shown.map((pack, index) =>
    el("button", { class: "pack", type: "button", autofocus: index === 0, onclick: () => buy(pack) },
      stars(pack, { sign: true }), el("span", {}, "Top up"))));
}
