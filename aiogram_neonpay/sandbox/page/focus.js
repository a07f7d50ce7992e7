// Owns the keyboard's focus: what is drawn anew or goes away hands it to what stands in its place, never to <body>.

import { byId } from "./dom.js";

/** Run `draw`; if the focused control did not survive it, its successor gets the focus. */
export function keepFocus(draw) {
  const giveBack = holdFocus();
  draw();
  giveBack();
}

/**
 * Remember what has the focus. The function returned gives the focus back, unless something else has it by then: to the
 * same control, else to what has the same `data-key` now, else to what that was in, else to the place for writing.
 */
export function holdFocus() {
  const held = document.activeElement;
  if (!held || held === document.body) return () => {};
  const keys = [];
  for (let node = held; node; node = node.parentElement) if (node.dataset?.key) keys.push(node.dataset.key);
  return () => {
    if (!canHold(document.activeElement)) focusFirst([held, ...keys.map(withKey), ...places()]);
  };
}

function focusFirst(nodes) {
  const node = nodes.find(canHold);
  if (!node) return;
  if (node.tabIndex < 0) node.tabIndex = -1; // a message or a row: no stop for Tab, but a place to go on from
  node.focus({ preventScroll: true });
}

const canHold = (node) => Boolean(node) && node !== document.body && node.getClientRects().length > 0;
const withKey = (key) => document.querySelector(`[data-key="${CSS.escape(key)}"]`);

function places() {
  // On a touch screen a focused field opens the keyboard, which nobody has asked for.
  const writing = matchMedia("(pointer: coarse)").matches ? [] : [byId("field"), byId("foot").querySelector("button")];
  return [...writing, byId("scroll")];
}
