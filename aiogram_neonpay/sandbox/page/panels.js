// Owns what opens over the chat on narrow screens, and the menu behind the three dots.

import { byId, el } from "./dom.js";

let opener = null;

function openPanel(name) {
  opener = document.activeElement;
  document.body.dataset.panel = name;
  byId("veil").hidden = false;
  byId(name).querySelector('.person[aria-pressed="true"], [role="tab"][aria-selected="true"]')?.focus();
}

export function closePanels() {
  if (!document.body.dataset.panel) return;
  delete document.body.dataset.panel;
  byId("veil").hidden = true;
  opener?.focus();
}

/** Fill the menu: `items` are names, what they do, and whether that is a grave thing. */
export function drawMore(items) {
  byId("more").hidden = items.length === 0;
  byId("more-list").replaceChildren(...items.map(([name, act, grave]) => el("button", {
    type: "button", class: grave ? "grave" : "", onclick: () => { closeMore(); act(); },
  }, name)));
}

function closeMore() {
  const more = byId("more");
  if (more.contains(document.activeElement)) more.querySelector("summary").focus();
  more.open = false;
}

export function setUpPanels() {
  byId("open-side").addEventListener("click", () => openPanel("side"));
  byId("open-inspector").addEventListener("click", () => openPanel("inspector"));
  byId("close-inspector").addEventListener("click", closePanels);
  byId("veil").addEventListener("click", closePanels);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || byId("sheet").open) return;
    closeMore();
    closePanels();
  });
  document.addEventListener("click", (event) => {
    if (!byId("more").contains(event.target)) byId("more").open = false;
  });
}
