// Owns the page's state: who you are, which chat is open, and redrawing when the sandbox reports a change.

import { get, listen, post } from "./api.js";
import { drawComposer, forgetComposer } from "./composer.js";
import { avatar, byId, clockTime, el, icon, stars, toast, withStars } from "./dom.js";
import { keepFocus } from "./focus.js";
import { addCall, addUpdate, drawClock, drawMoney, loadActivity, setUpInspector } from "./inspector.js";
import { drawMessages } from "./messages.js";
import { openAlert, openNewPerson, openPayment, openReceipt, openTopUp, setUpSheets } from "./sheets.js";
import { drawStatus } from "./status.js";

const state = { users: [], bots: [], me: null, chats: [], open: null, left: null, talk: null, now: 0, nowAt: 0, lost: false };
const waiting = new Set();
let running = null;

// --- what to reload: changes are gathered, so that a burst of events costs one round ---

function reload(...parts) {
  parts.forEach((part) => waiting.add(part));
  running ??= Promise.resolve().then(work).finally(() => {
    running = null;
    if (waiting.size) reload();
  });
  return running;
}

async function work() {
  const parts = new Set(waiting);
  waiting.clear();
  try {
    if (parts.has("people")) await loadPeople();
    if (!state.me) return;
    if (parts.has("chats")) await loadChats();
    if (parts.has("talk")) await loadTalk();
    if (parts.has("money") && state.bots.length) await drawMoney(me(), currentBot());
    tick();
  } catch (error) {
    if (!state.lost) toast(error.message, "bad");
  }
}

const me = () => state.users.find((user) => user.id === state.me);
const currentBot = () => state.bots.find((bot) => bot.id === state.open?.bot_id) ?? state.bots[0];
const sameChat = (one, other) => Boolean(one && other) && one.chat_id === other.chat_id && one.bot_id === other.bot_id;
const place = () => ({ chat_id: state.open.chat_id, bot_id: state.open.bot_id });

async function loadPeople() {
  Object.assign(state, await get("/state"));
  state.nowAt = performance.now();
  const remembered = Number(sessionStorage.getItem("me"));
  if (!me()) state.me = (state.users.find((user) => user.id === remembered) ?? state.users[0])?.id ?? null;
  keepFocus(drawPeople);
}

async function loadChats() {
  const mine = state.me;
  const { chats } = await get(`/users/${mine}/chats`);
  if (mine !== state.me) return;
  state.chats = chats.sort((one, other) => other.order - one.order);
  const wanted = state.open ?? state.left;
  state.open = state.chats.find((chat) => sameChat(chat, wanted))
    ?? state.chats.find((chat) => chat.type === "private") ?? state.chats[0] ?? null;
  keepFocus(drawChats);
}

async function loadTalk() {
  if (!state.open) return;
  const { chat_id: chatId, bot_id: botId } = state.open;
  const mine = state.me;
  const talk = await get(`/users/${mine}/messages?chat_id=${chatId}&bot_id=${botId ?? ""}`);
  if (mine !== state.me || !sameChat(talk.chat, state.open)) return;
  state.talk = talk;
  state.open = talk.chat;
  keepFocus(drawTalk);
}

// --- drawing ---

function drawPeople() {
  const buttons = state.users.map((user) => el("button", {
    class: "person", type: "button", "aria-pressed": String(user.id === state.me), "data-key": `person/${user.id}`,
    onclick: () => become(user.id),
  }, avatar(user.id, user.name), el("span", { class: "person-name" }, withStars(user.name)), stars(user.stars)));
  const add = el("button", { class: "person add", type: "button", "data-key": "person/new", onclick: () => openNewPerson((made) => become(made.id)) },
    el("span", { class: "avatar", "aria-hidden": "true" }, icon("plus")), el("span", { class: "person-name" }, "New person"));
  byId("people").replaceChildren(...buttons, add);
  const user = me();
  if (user) byId("purse").replaceChildren(el("span", { class: "unseen" }, `${user.name}: `), stars(user.stars));
  byId("purse").hidden = !user;
}

function drawChats() {
  byId("chats").replaceChildren(...state.chats.map((chat) => el("button", {
    class: "chat-line", type: "button", "data-key": `chat/${chat.chat_id}/${chat.bot_id}`, "aria-current": sameChat(chat, state.open) ? "true" : null,
    onclick: () => openChat(chat),
  }, avatar(chat.bot_id ?? chat.chat_id, chat.title),
  el("span", { class: "chat-words" },
    el("span", { class: "chat-top" }, el("strong", {}, withStars(chat.title)), chat.last && el("time", {}, clockTime(chat.last.date))),
    el("span", { class: "chat-last" }, withStars(chat.last?.text || "No messages yet"))))));
}

function drawTalk() {
  const { talk } = state;
  const scroll = byId("scroll");
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 90;
  const bot = talk.chat.type === "private";
  byId("title").replaceChildren(
    avatar(talk.chat.bot_id ?? talk.chat.chat_id, talk.chat.title),
    el("span", { class: "title-words" },
      el("strong", {}, withStars(talk.chat.title)),
      el("span", { class: talk.action ? "acting" : "" }, talk.action ? `${talk.action.replaceAll("_", " ")}\u2026` : talk.chat.subtitle)));
  const list = byId("log");
  if (talk.messages.length) {
    drawMessages(list, talk.messages, { me: state.me, chat: talk.chat, actions });
  } else {
    list.replaceChildren(el("div", { class: "empty" }, avatar(talk.chat.bot_id ?? 0, talk.chat.title, true),
      el("strong", {}, withStars(talk.chat.title)), el("p", {}, bot ? "Press Start to talk to this bot." : "Nobody has written here yet.")));
  }
  drawMore(talk.chat);
  drawComposer(talk, actions);
  const newest = talk.messages.at(-1);
  if (atEnd || newest?.author.id === state.me || state.fresh) toEnd(!state.fresh);
  state.fresh = false;
  followEnd();
}

function drawMore(chat) {
  const more = byId("more");
  more.hidden = chat.type !== "private";
  byId("more-list").replaceChildren(el("button", {
    type: "button", onclick: () => { closeMore(); actions.block(!chat.blocked); },
  }, chat.blocked ? "Unblock the bot" : "Block the bot"));
}

function closeMore() {
  const more = byId("more");
  if (more.contains(document.activeElement)) more.querySelector("summary").focus();
  more.open = false;
}

function toEnd(smooth) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  requestAnimationFrame(() => byId("scroll").scrollTo({ top: byId("scroll").scrollHeight, behavior: smooth && !calm ? "smooth" : "auto" }));
}

function followEnd() {
  const scroll = byId("scroll");
  keepFocus(() => { byId("to-end").hidden = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 240; });
}

// --- acting ---

function become(userId) {
  // The same place for another person: their own chat with this bot, or the group if they are in it.
  state.left = state.open?.type === "private" ? { chat_id: userId, bot_id: state.open.bot_id } : state.open;
  state.open = null;
  state.me = userId;
  sessionStorage.setItem("me", String(userId));
  changeView();
  closePanels();
  return reload("people", "chats", "talk", "money");
}

function openChat(chat) {
  state.open = chat;
  changeView();
  closePanels();
  return reload("chats", "talk", "money");
}

function changeView() {
  state.fresh = true;
  forgetComposer();
}

async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    toast(error.message, "bad");
    return null;
  }
}

const actions = {
  send: (text) => attempt(() => post(`/users/${state.me}/send`, { ...place(), text })),
  command: (text) => actions.send(text),
  block: (blocked) => attempt(() => post(`/users/${state.me}/block`, { bot_id: state.open.bot_id, blocked })),
  unblock: async () => { await actions.block(false); await actions.send("/start"); },
  receipt: openReceipt,
  pay: (message) => openPayment(state.me, { ...place(), message_id: message.id }),
  press: async (message, button, row, column) => {
    if (button.kind === "copy_text") {
      await navigator.clipboard?.writeText(button.copy);
      return toast("Copied", "good");
    }
    if (button.kind === "url" && actions.link(button.url)) return;
    if (button.kind === "url") return void window.open(button.url, "_blank", "noopener,noreferrer");
    if (button.kind !== "callback_data") return toast("The sandbox does not have this kind of button yet");
    const answer = await attempt(() => post(`/users/${state.me}/tap`, { ...place(), message_id: message.id, row, column }));
    if (answer?.alert && answer.text) openAlert(state.open.title, answer.text);
    else if (answer?.text) toast(answer.text);
    if (answer?.url) actions.link(answer.url) || window.open(answer.url, "_blank", "noopener,noreferrer");
  },
  /** Follow links that lead back into the sandbox; tell whether this was one. */
  link: (url) => {
    if (/^https?:\/\/t\.me\/(?:\$|invoice\/)[\w-]+/.test(url)) {
      openPayment(state.me, { link: url });
      return true;
    }
    const start = /^https?:\/\/t\.me\/(\w+)(?:\?start=([\w-]*))?$/.exec(url);
    const bot = start && state.bots.find((item) => item.username.toLowerCase() === start[1].toLowerCase());
    if (!bot) return false;
    const chat = state.chats.find((item) => item.bot_id === bot.id);
    openChat(chat).then(() => actions.send(`/start ${start[2] ?? ""}`.trim()));
    return true;
  },
};

// --- panels, events, start ---

function openPanel(name) {
  state.opener = document.activeElement;
  document.body.dataset.panel = name;
  byId("veil").hidden = false;
  byId(name).querySelector("button")?.focus();
}

function closePanels() {
  if (!document.body.dataset.panel) return;
  delete document.body.dataset.panel;
  byId("veil").hidden = true;
  state.opener?.focus();
}

/** Once a second: the clock, and for how long nobody has been there. */
function tick() {
  const age = (performance.now() - state.nowAt) / 1000;
  if (!state.lost) drawClock(state.now + age);
  const inGroup = state.open?.type !== "private" && state.bots.find((bot) => bot.trouble);
  drawStatus({ lost: state.lost, bot: inGroup || currentBot(), age });
}

function onEvent(event) {
  if (event.type === "update") addUpdate(event.update);
  else if (event.type === "call") addCall(event.call);
  else if (event.type === "ledger") reload("people", "money");
  else if (event.type === "users") reload("people", "chats", "talk");
  else if (event.type === "listening") reload("people");
  else if (event.type === "clock") reload("people", "talk");
  else if (event.type === "commands") reload("talk");
  else if (event.bot_id && event.chat_id !== state.me) return; // another person's private chat
  else reload("chats", ...(sameChat(event, state.open) ? ["talk"] : []));
}

setUpSheets();
setUpInspector();
byId("open-side").addEventListener("click", () => openPanel("side"));
byId("open-inspector").addEventListener("click", () => openPanel("inspector"));
byId("close-inspector").addEventListener("click", closePanels);
byId("veil").addEventListener("click", closePanels);
byId("purse").addEventListener("click", () => openTopUp(me()));
byId("to-end").addEventListener("click", () => toEnd(true));
byId("scroll").addEventListener("scroll", followEnd, { passive: true });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || byId("sheet").open) return;
  closeMore();
  closePanels();
});
document.addEventListener("click", (event) => {
  if (!byId("more").contains(event.target)) byId("more").open = false;
});
setInterval(tick, 1000);
state.fresh = true;
listen(onEvent, () => {
  state.lost = false;
  reload("people", "chats", "talk", "money");
  loadActivity().catch((error) => toast(error.message, "bad"));
}, () => {
  state.lost = true;
  tick();
});
