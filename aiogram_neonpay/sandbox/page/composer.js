// Owns what lies below the messages: Start, the message field, the commands menu, the reply keyboard.

import { byId, el, icon, withStars } from "./dom.js";
import { keepFocus } from "./focus.js";

let shape = "";
let keysOpen = true;
let lastKeyboard = "";

/** Draw the footer for a chat; `actions` has `send(text)`, which tells whether it was sent, and `unblock()`. */
export function drawComposer(talk, actions) {
  keepFocus(() => draw(talk, actions));
}

function draw(talk, actions) {
  const { chat, commands, keyboard } = talk;
  const kind = chat.blocked ? "blocked" : chat.started || chat.type !== "private" ? "open" : "start";
  const keyboardKey = JSON.stringify(keyboard);
  if (keyboardKey !== lastKeyboard) keysOpen = true;
  lastKeyboard = keyboardKey;
  const next = JSON.stringify([kind, chat.chat_id, chat.bot_id, commands, keyboard, keysOpen]);
  if (next === shape) return;
  const draft = byId("field")?.value ?? "";
  shape = next;
  if (kind === "start") return big("Start", () => actions.send("/start"));
  if (kind === "blocked") return big("Restart bot", actions.unblock);
  open(talk, actions);
  const made = byId("field");
  made.value = draft;
  grow(made);
}

/** Forget the drawn footer, so that the next chat gets a fresh one. */
export function forgetComposer() {
  shape = "";
  byId("foot").replaceChildren();
}

function big(label, act) {
  byId("foot").replaceChildren(el("button", { class: "start", type: "button", onclick: act }, label));
}

function open(talk, actions) {
  const { commands, keyboard } = talk;
  const suggestions = el("div", { class: "suggestions", id: "suggestions", hidden: true });
  const field = el("textarea", {
    id: "field", "data-key": "field", rows: "1", maxlength: "4096", placeholder: keyboard?.input_field_placeholder ?? "Message", "aria-label": "Message",
    autocomplete: "off",
  });
  const send = async () => {
    const text = field.value.trim();
    if (!text) return;
    field.value = "";
    grow(field);
    suggest(field, suggestions, commands, actions);
    if (await actions.send(text) || !field.isConnected || field.value) return;
    field.value = text; // not sent: nobody should have to write it again
    grow(field);
  };
  field.addEventListener("input", () => {
    grow(field);
    suggest(field, suggestions, commands, actions);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape") {
      suggestions.hidden = true;
    } else if (event.key === "ArrowUp" && !suggestions.hidden) {
      event.preventDefault();
      suggestions.lastElementChild?.focus();
    }
  });
  const menu = el("button", {
    class: "menu-button", type: "button", "data-key": "menu", "aria-label": "Commands of the bot", "aria-expanded": "false",
    onclick: () => {
      const opening = suggestions.hidden;
      fill(suggestions, commands, actions);
      suggestions.hidden = !opening;
      menu.setAttribute("aria-expanded", String(opening));
      if (opening) suggestions.firstElementChild?.focus();
    },
  }, icon("menu"), el("span", {}, "Menu"));
  const keys = keyboard && el("button", {
    class: "icon-button", type: "button", "data-key": "keys", "aria-label": keysOpen ? "Hide the bot's keyboard" : "Show the bot's keyboard",
    onclick: () => { keysOpen = !keysOpen; drawComposer(talk, actions); },
  }, icon("keys"));
  byId("foot").replaceChildren(
    suggestions,
    el("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); send(); } },
      commands.length > 0 && menu, field, keys,
      el("button", { class: "send", type: "submit", "aria-label": "Send" }, icon("send"))),
    keyboard && keysOpen ? replyKeyboard(keyboard, actions) : "");
}

function replyKeyboard(keyboard, actions) {
  return el("div", { class: "reply-keys", role: "group", "aria-label": "The bot's keyboard" }, keyboard.keyboard.map((row, at) =>
    el("div", { class: "reply-row" }, row.map((button, column) =>
      el("button", {
        class: "reply-key", type: "button", "data-key": `reply/${at}/${column}`,
        onclick: () => {
          if (keyboard.one_time_keyboard) keysOpen = false;
          actions.send(button.text);
        },
      }, withStars(button.text))))));
}

function suggest(field, box, commands, actions) {
  const typed = field.value;
  const fitting = typed.startsWith("/") && !/\s/.test(typed)
    ? commands.filter((item) => `/${item.command}`.startsWith(typed.toLowerCase())) : [];
  fill(box, fitting, actions);
  box.hidden = fitting.length === 0;
}

function fill(box, commands, actions) {
  box.replaceChildren(...commands.map((item) =>
    el("button", {
      class: "suggestion", type: "button",
      onclick: () => {
        box.hidden = true;
        byId("field").value = "";
        actions.send(`/${item.command}`);
        byId("field").focus();
      },
      onkeydown: (event) => step(event, box),
    }, el("strong", {}, `/${item.command}`), el("span", {}, item.description))));
}

function step(event, box) {
  const items = [...box.children];
  const place = items.indexOf(event.currentTarget);
  if (event.key === "ArrowDown") (items[place + 1] ?? byId("field")).focus();
  else if (event.key === "ArrowUp") items[Math.max(0, place - 1)].focus();
  else if (event.key === "Escape") {
    box.hidden = true;
    byId("field").focus();
  } else return;
  event.preventDefault();
}

function grow(field) {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 140)}px`;
}
