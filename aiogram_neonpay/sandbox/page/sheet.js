// Owns the one sheet above the page: opening it, what every sheet is made of, closing it.

import { byId, el, icon, toast, withStars } from "./dom.js";
import { holdFocus } from "./focus.js";

let closable = true;
let giveFocusBack = () => {};

/** Show a sheet, in place of the one that is open. */
export function show(...content) {
  const sheet = byId("sheet");
  sheet.replaceChildren(...content.flat().filter(Boolean));
  if (sheet.open) {
    sheet.querySelector("[autofocus]")?.focus(); // the browser does it only for a sheet that opens
  } else {
    giveFocusBack = holdFocus();
    sheet.showModal();
  }
}

export function closeSheet() {
  closable = true;
  byId("sheet").close();
}

/** Keep the sheet from being closed while something is decided, or allow it again. */
export function holdSheet(held) {
  closable = !held;
  byId("sheet").querySelector(".sheet-close")?.toggleAttribute("hidden", held);
}

export const isHeld = () => !closable;

export function setUpSheets() {
  const sheet = byId("sheet");
  sheet.addEventListener("cancel", (event) => closable || event.preventDefault());
  // What opened the sheet may have been drawn anew meanwhile: a Pay button is a Receipt button now.
  sheet.addEventListener("close", () => giveFocusBack());
  sheet.addEventListener("click", (event) => event.target === sheet && closable && closeSheet());
}

/** Do what a sheet was asked for; close it when that fails, for what is said about it appears below it. */
export async function attempt(act) {
  try {
    await act();
  } catch (error) {
    closeSheet();
    toast(error.message, "bad");
  }
}

export const closeButton = () =>
  el("button", { class: "icon-button sheet-close", type: "button", "aria-label": "Close", onclick: closeSheet }, icon("close"));

export const title = (text) => el("h2", { id: "sheet-title", class: "sheet-title" }, withStars(text));

export const hero = (kind = "star", tone = "") => el("div", { class: `hero ${tone}` }, icon(kind));

export const fact = (name, ...value) => el("div", { class: "fact" }, el("dt", {}, name), el("dd", {}, value));

/** The button that ends a sheet. */
export const done = (label) =>
  el("button", { class: "main-button", type: "button", autofocus: true, onclick: closeSheet }, label);

export function openAlert(name, text) {
  show(title(name), el("p", { class: "verdict", role: "alert" }, withStars(text)), done("OK"));
}
