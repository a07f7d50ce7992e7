// Owns drawing formatted text: entities become elements, everything else stays text.

import { el, withStars } from "./dom.js";

const TAGS = {
  bold: "strong", italic: "em", underline: "u", strikethrough: "s", code: "code", pre: "pre", blockquote: "blockquote",
};

const BLOCKS = new Set(["pre", "blockquote"]);

/** Return nodes for a text; `actions` has `command(text)` and `link(url)` (true when it took the link). */
export function richText(text, entities, actions) {
  const borders = new Set([0, text.length]);
  for (const entity of entities) borders.add(entity.offset).add(entity.offset + entity.length);
  const places = [...borders].filter((place) => place <= text.length).sort((a, b) => a - b);
  return places.slice(0, -1).map((start, index) => {
    const end = places[index + 1];
    // A block ends its line by itself; the line break behind it would make an empty one.
    const afterBlock = entities.some((item) => BLOCKS.has(item.type) && item.offset + item.length === start);
    const shown = text.slice(afterBlock && text[start] === "\n" ? start + 1 : start, end);
    const around = entities.filter((item) => item.offset <= start && item.offset + item.length >= end);
    const plain = document.createDocumentFragment();
    plain.append(...withStars(shown));
    return around.reduceRight((inner, entity) => wrap(inner, entity, text, actions), plain);
  });
}

function wrap(inner, entity, text, actions) {
  const whole = text.slice(entity.offset, entity.offset + entity.length);
  if (TAGS[entity.type]) return el(TAGS[entity.type], {}, inner);
  if (entity.type === "bot_command") {
    // Not a button element: that would not break across lines like the text around it.
    return el("span", {
      class: "in-text", role: "button", tabindex: "0",
      onclick: () => actions.command(whole), onkeydown: (event) => event.key === "Enter" && actions.command(whole),
    }, inner);
  }
  if (entity.type === "spoiler") {
    return el("span", {
      class: "spoiler", tabindex: "0", role: "button", "aria-label": "Show the hidden text",
      onclick: (event) => reveal(event.currentTarget),
      onkeydown: (event) => event.key === "Enter" && reveal(event.currentTarget),
    }, inner);
  }
  if (entity.type === "text_link" || entity.type === "url") {
    const url = entity.url ?? whole;
    if (!/^(https?|tg):/i.test(url)) return inner;
    return el("a", {
      href: url, target: "_blank", rel: "noopener noreferrer",
      onclick: (event) => actions.link(url) && event.preventDefault(),
    }, inner);
  }
  return inner;
}

function reveal(node) {
  node.classList.add("shown");
  node.removeAttribute("role");
  node.removeAttribute("aria-label");
}
