// Owns what lies below the messages: Start, the message field with what it offers, the reply keyboard.

import { byId, el, icon, withStars } from "./dom.js";
import { keepFocus } from "./focus.js";
import { askInline, drawResults } from "./inline.js";

let replyTo = null; // the message that the next one answers
let latest = null; // what was drawn last, to draw it again
let shape = "";
let keysOpen = true;
let lastKeyboard = "";

/** Draw the footer for a chat; of `actions`, `send(text, replyTo)` tells whether it was sent. */
export function drawComposer(talk, actions) {
  latest = { talk, actions };
  keepFocus(() => draw(talk, actions));
}

function draw(talk, actions) {
  const { chat, commands, keyboard } = talk;
  const kind = chat.blocked ? "blocked" : chat.started || chat.type !== "private" ? "open" : "start";
  const keyboardKey = JSON.stringify(keyboard);
  if (keyboardKey !== lastKeyboard) keysOpen = true;
  lastKeyboard = keyboardKey;
  const next = JSON.stringify([kind, chat.chat_id, chat.bot_id, commands, keyboard, keysOpen, replyTo?.id]);
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
  replyTo = null;
  byId("foot").replaceChildren();
}

/** Put something into the message field, as if it had been typed: a text, or the message that is answered. */
export function writeInto({ text, replyTo: message }) {
  if (message) {
    replyTo = message;
    drawComposer(latest.talk, latest.actions);
  }
  const field = byId("field");
  if (!field) return;
  if (text !== undefined) field.value = text;
  field.focus();
  field.dispatchEvent(new Event("input"));
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
    const answered = replyTo;
    clear();
    if (await actions.send(text, answered?.id) || !byId("field") || byId("field").value) return;
    writeInto({ text, replyTo: answered }); // not sent: nobody should have to write it again
  };
  const clear = () => {
    field.value = "";
    grow(field);
    suggest(field, suggestions, commands, actions);
    if (!replyTo) return;
    replyTo = null;
    drawComposer(talk, actions);
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
      if (suggestions.hidden && replyTo) stopReplying(talk, actions);
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
    replyTo ? replyBar(talk, actions) : "",
    el("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); send(); } },
      commands.length > 0 && menu,
      el("button", {
        class: "icon-button", type: "button", "data-key": "attach", "aria-label": "Attach", "aria-haspopup": "menu",
        onclick: (event) => actions.attach(event.currentTarget),
      }, icon("clip")),
      field, keys,
      el("button", { class: "send", type: "submit", "aria-label": "Send" }, icon("send"))),
    keyboard && keysOpen ? replyKeyboard(keyboard, actions) : "");
}

function replyBar(talk, actions) {
  return el("div", { class: "reply-bar" },
    el("div", { class: "reply" },
      el("strong", {}, "Reply to ", withStars(replyTo.author.name)),
      el("span", {}, withStars(replyTo.text || replyTo.invoice?.title || replyTo.note || "Media"))),
    el("button", { class: "icon-button small", type: "button", "aria-label": "Do not reply", onclick: () => stopReplying(talk, actions) }, icon("close")));
}

function stopReplying(talk, actions) {
  replyTo = null;
  drawComposer(talk, actions);
}

function replyKeyboard(keyboard, actions) {
  return el("div", { class: "reply-keys", role: "group", "aria-label": "The bot's keyboard" }, keyboard.keyboard.map((row, at) =>
    el("div", { class: "reply-row" }, row.map((button, column) =>
      el("button", {
        class: "reply-key", type: "button", "data-key": `reply/${at}/${column}`,
        onclick: () => {
          if (keyboard.one_time_keyboard) keysOpen = false;
          actions.pressReply(button);
        },
      }, withStars(button.text))))));
}

function suggest(field, box, commands, actions) {
  const typed = field.value;
  const fitting = typed.startsWith("/") && !/\s/.test(typed)
    ? commands.filter((item) => `/${item.command}`.startsWith(typed.toLowerCase())) : [];
  fill(box, fitting, actions);
  box.hidden = fitting.length === 0;
  askInline(typed, actions, (found) => {
    if (!found || !box.isConnected) return;
    box.replaceChildren(...drawResults(found, async (bot, result) => {
      box.hidden = true;
      if (await actions.sendInline(bot, result)) field.value = "";
      field.focus();
    }));
    for (const line of box.children) line.addEventListener("keydown", (event) => step(event, box));
    box.hidden = false;
  });
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
