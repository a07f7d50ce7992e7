// Owns the menu that opens at a place on the page: of a message, or for attaching things.

import { byId, el } from "./dom.js";

let giveBack = null;

/** Open a menu by an element: `items` are names and what they do. */
export function openMenu(anchor, items, label) {
  const menu = byId("menu");
  menu.setAttribute("aria-label", label);
  menu.replaceChildren(...items.map(([name, act]) => el("button", {
    type: "button", role: "menuitem", class: "menu-item",
    onclick: () => { closeMenu(); act(); },
    onkeydown: step,
  }, name)));
  giveBack = anchor;
  menu.showPopover();
  const place = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(place.left, innerWidth - width - 8))}px`;
  menu.style.top = `${place.bottom + height + 8 < innerHeight ? place.bottom + 4 : Math.max(8, place.top - height - 4)}px`;
  menu.firstElementChild.focus();
}

function closeMenu() {
  byId("menu").hidePopover();
  giveBack?.focus({ preventScroll: true });
}

function step(event) {
  const items = [...byId("menu").children];
  const place = items.indexOf(event.currentTarget);
  const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === "Escape" || event.key === "Tab") closeMenu();
  else if (next === undefined) return;
  else items[(next + items.length) % items.length].focus();
  event.preventDefault();
  event.stopPropagation();
}
