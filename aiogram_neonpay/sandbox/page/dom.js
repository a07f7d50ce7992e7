// Owns making elements. Text always goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** Make an element: `el("button", {class: "x", onclick: f}, "text", child)`. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Make an icon from the sprite in the page. */
export function icon(name, className = "") {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon ${className}`);
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A number of Stars in words: "1 Star", "2,500 Stars", "5 more Stars". */
export const starWords = (number, more = "") => `${number.toLocaleString("en")} ${more}${number === 1 ? "Star" : "Stars"}`;

/** An amount of Stars: the star and the number, read out as "25 Stars". */
export function stars(amount, { sign = false } = {}) {
  const number = Math.abs(amount);
  const mark = amount < 0 ? "\u2212" : sign ? "+" : "";
  return el("span", { class: "stars" },
    el("span", { class: "unseen" }, `${mark}${starWords(number)}`),
    el("span", { "aria-hidden": "true", class: "stars-shown" }, mark, icon("star"), number.toLocaleString("en")));
}

/** A text as nodes, with the star emoji drawn as the Stars icon: not every machine has a font for it. */
export function withStars(text) {
  return text.split(/(\u2b50\ufe0f?)/).filter(Boolean).map((part) =>
    part.startsWith("\u2b50") ? el("span", { class: "star-mark" }, el("span", { class: "unseen" }, part), icon("star", "emoji-star")) : part);
}

export function avatar(id, name, big = false) {
  const initials = name.split(/\s+/).map((word) => [...word][0] ?? "").slice(0, 2).join("").toUpperCase();
  return el("span", { class: `avatar tone-${Math.abs(id) % 7}${big ? " big" : ""}`, "aria-hidden": "true" }, initials);
}

let present = Date.now() / 1000;

/** Tell what the sandbox's clock shows, in Unix seconds: the years of other dates are then written out. */
export const setPresent = (now) => { present = now; };

export const clockTime = (date) =>
  new Date(date * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

export function dayName(date) {
  const day = new Date(date * 1000);
  const year = day.getFullYear() === new Date(present * 1000).getFullYear() ? undefined : "numeric";
  return day.toLocaleDateString("en", { month: "long", day: "numeric", year });
}

export const moment = (date) => `${dayName(date)}, ${clockTime(date)}`;

const PERIODS = [["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** A period in words: "month", "5 minutes". */
export function periodWords(seconds) {
  const [unit, length] = PERIODS.find(([, size]) => seconds % size === 0);
  const count = seconds / length;
  return count === 1 ? unit : `${count} ${unit}s`;
}

/** A field with its label: one element for a form. */
export function labelled(label, control) {
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control);
}

/** A choice: `options` are pairs of value and text. */
export function choice(id, options, chosen, onchange) {
  return el("select", { id, onchange }, options.map(([value, text]) =>
    el("option", { value, selected: String(value) === String(chosen) }, text)));
}

export function toast(text, kind = "") {
  const box = el("div", { class: `toast ${kind}` }, kind === "good" ? icon("check") : null, el("span", {}, withStars(text)));
  byId("toasts").replaceChildren(box);
  setTimeout(() => box.classList.add("leaving"), 2600);
  setTimeout(() => box.remove(), 3000);
}
