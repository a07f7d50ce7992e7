// Owns drawing formatted text: entities become elements, everything else stays text.

import { el, withStars } from "./dom.js";

const TAGS = {
  bold: "strong", italic: "em", underline: "u", strikethrough: "s", code: "code", pre: "pre", blockquote: "blockquote",
  expandable_blockquote: "blockquote",
};

const BLOCKS = new Set(["pre", "blockquote", "expandable_blockquote"]);

/** Return nodes for a text; `actions` has `command(text)` and `link(url)` (true when it took the link). */
export function richText(text, entities, actions) {
  const outerFirst = (a, b) => a.offset - b.offset || b.length - a.length;
  return draw(text, 0, text.length, [...entities].sort(outerFirst), actions);
}

/** Draw a stretch of a text with the entities in it, each of them once, whatever is inside. */
function draw(text, start, end, entities, actions) {
  const nodes = [];
  let place = start;
  while (entities.length) {
    const [entity, ...others] = entities;
    const stop = Math.min(entity.offset + entity.length, end);
    const inside = [];
    const after = [];
    for (const other of others) {
      if (other.offset >= stop) { after.push(other); continue; }
      const rest = other.offset + other.length - stop;
      inside.push(rest > 0 ? { ...other, length: other.length - rest } : other);
      if (rest > 0) after.push({ ...other, url: linked(other, text), offset: stop, length: rest });
    }
    nodes.push(...plain(text, place, entity.offset), wrap(draw(text, entity.offset, stop, inside, actions), entity, text, actions));
    // A block ends its line by itself; the line break behind it would make an empty one.
    place = BLOCKS.has(entity.type) && text[stop] === "\n" && !after.some((other) => other.offset === stop) ? stop + 1 : stop;
    entities = after;
  }
  return [...nodes, ...plain(text, place, end)];
}

function plain(text, start, end) {
  return start < end ? withStars(text.slice(start, end)) : [];
}

/** Return where an entity leads, also when only a part of it is drawn. */
function linked(entity, text) {
  return entity.type === "url" ? text.slice(entity.offset, entity.offset + entity.length) : entity.url;
}

function wrap(inner, entity, text, actions) {
  const whole = text.slice(entity.offset, entity.offset + entity.length);
  if (TAGS[entity.type]) return el(TAGS[entity.type], {}, ...inner);
  if (entity.type === "bot_command") {
    // Not a button element: that would not break across lines like the text around it.
    return el("span", {
      class: "in-text", role: "button", tabindex: "0",
      onclick: () => actions.command(whole), onkeydown: (event) => event.key === "Enter" && actions.command(whole),
    }, ...inner);
  }
  if (entity.type === "spoiler") {
    return el("span", {
      class: "spoiler", tabindex: "0", role: "button", "aria-label": "Show the hidden text",
      onclick: (event) => reveal(event.currentTarget),
      onkeydown: (event) => event.key === "Enter" && reveal(event.currentTarget),
    }, ...inner);
  }
  if (entity.type === "text_link" || entity.type === "url") {
    const url = entity.url ?? whole;
    if (!/^(https?|tg):/i.test(url)) return fragment(inner);
    return el("a", {
      href: url, target: "_blank", rel: "noopener noreferrer",
      onclick: (event) => actions.link(url) && event.preventDefault(),
    }, ...inner);
  }
  return fragment(inner);
}

function fragment(nodes) {
  const made = document.createDocumentFragment();
  made.append(...nodes);
  return made;
}

function reveal(node) {
  node.classList.add("shown");
  node.removeAttribute("role");
  node.removeAttribute("aria-label");
}
