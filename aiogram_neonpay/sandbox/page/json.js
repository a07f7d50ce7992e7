// Owns drawing JSON as a tree whose branches open and close.

import { el, withStars } from "./dom.js";

const OPEN_LEVELS = 3;
const SHORT = 60;

/** Return the tree of a value as an element; deep branches are closed until they are asked for. */
export function jsonTree(value) {
  return el("div", { class: "json" }, branch(null, value, 0));
}

function branch(name, value, level) {
  const label = name === null ? [] : [el("span", { class: "json-key" }, name), ": "];
  if (value === null || typeof value !== "object") return el("div", { class: "json-leaf" }, label, leaf(value));
  const list = Array.isArray(value);
  const inside = Object.entries(value);
  const [from, to] = list ? "[]" : "{}";
  if (!inside.length) return el("div", { class: "json-leaf" }, label, from + to);
  const children = inside.map(([key, item]) => branch(list ? null : key, item, level + 1));
  if (name === null && level === 0) return children;
  return el("details", { open: level < OPEN_LEVELS },
    el("summary", {}, label, from, el("span", { class: "json-count" }, list ? inside.length : brief(inside), to)),
    el("div", { class: "json-inside" }, children));
}

function leaf(value) {
  const kind = value === null ? "null" : typeof value;
  return el("span", { class: `json-${kind}` }, withStars(kind === "string" ? JSON.stringify(value) : String(value)));
}

function brief(inside) {
  const names = inside.map(([key]) => key).join(", ");
  return names.length > SHORT ? `${names.slice(0, SHORT)}\u2026` : names;
}
