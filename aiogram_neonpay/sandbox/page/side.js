// Owns the column beside the chat: who there is, who you are, your chats, and a new person.

import { post } from "./api.js";
import { avatar, byId, clockTime, el, icon, labelled, stars, withStars } from "./dom.js";
import { attempt, closeButton, closeSheet, show, title } from "./sheet.js";

/** Draw people; `news` are the ids of those whose bots have written since they were last looked at. */
export function drawPeople({ users, me, news }, become) {
  const buttons = users.map((user) => el("button", {
    class: "person", type: "button", "aria-pressed": String(user.id === me), "data-key": `person/${user.id}`,
    onclick: () => become(user.id),
  }, avatar(user.id, user.name), el("span", { class: "person-name" }, withStars(user.name)), stars(user.stars), news.has(user.id) && newsDot()));
  const add = el("button", { class: "person add", type: "button", "data-key": "person/new", onclick: () => openNewPerson((made) => become(made.id)) },
    el("span", { class: "avatar", "aria-hidden": "true" }, icon("plus")), el("span", { class: "person-name" }, "New person"));
  byId("people").replaceChildren(...buttons, add);
  const user = users.find((item) => item.id === me);
  if (user) byId("purse").replaceChildren(el("span", { class: "unseen" }, `${user.name}: `), stars(user.stars));
  byId("purse").hidden = !user;
}

/** Draw the chat list; `isOpen` and `isNew` tell about one chat. */
export function drawChats(chats, { isOpen, isNew, openChat }) {
  byId("chats").replaceChildren(...chats.map((chat) => el("button", {
    class: "chat-line", type: "button", "data-key": `chat/${chat.chat_id}/${chat.bot_id}`, "aria-current": isOpen(chat) ? "true" : null,
    onclick: () => openChat(chat),
  }, avatar(chat.bot_id ?? chat.chat_id, chat.title),
  el("span", { class: "chat-words" },
    el("span", { class: "chat-top" }, el("strong", {}, withStars(chat.title)), chat.last && el("time", {}, clockTime(chat.last.date))),
    el("span", { class: "chat-last" }, withStars(chat.last?.text || "No messages yet"))),
  isNew(chat) && newsDot())));
}

const newsDot = () => el("span", { class: "news" }, el("span", { class: "unseen" }, "new messages"));

function openNewPerson(onMade) {
  const name = el("input", { id: "person-name", maxlength: "64", required: true, autocomplete: "off", autofocus: true });
  const amount = el("input", { id: "person-stars", type: "number", min: "0", max: "1000000", value: "100", required: true });
  const language = el("input", { id: "person-language", maxlength: "8", value: "en", autocomplete: "off" });
  const save = (event) => {
    event.preventDefault();
    return attempt(async () => {
      const made = await post("/users", { name: name.value, stars: Number(amount.value), language_code: language.value });
      closeSheet();
      onMade(made);
    });
  };
  show(closeButton(), title("New person"),
    el("form", { class: "form", onsubmit: save },
      labelled("Name", name), labelled("Stars", amount), labelled("Language code", language),
      el("button", { class: "main-button", type: "submit" }, "Add")));
}
