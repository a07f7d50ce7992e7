// Owns the page's state: who you are, which chat is open, and redrawing when the sandbox reports a change.

import { makeActions } from "./actions.js";
import { addCall, addUpdate, loadActivity } from "./activity.js";
import { get, listen } from "./api.js";
import { drawClock, setUpClock } from "./clock.js";
import { drawComposer, forgetComposer } from "./composer.js";
import { avatar, byId, el, toast, withStars } from "./dom.js";
import { drawFaults } from "./faults.js";
import { keepFocus } from "./focus.js";
import { setUpInspector } from "./inspector.js";
import { drawMessages } from "./messages.js";
import { drawMoney } from "./money.js";
import { closePanels, drawMore, setUpPanels } from "./panels.js";
import { openPurse } from "./purse.js";
import { setUpSheets } from "./sheet.js";
import { drawChats, drawPeople } from "./side.js";
import { drawStatus } from "./status.js";
import { drawNotice, openSubscriptions } from "./subscriptions.js";

const state = {
  users: [], bots: [], me: null, chats: [], open: null, left: null, talk: null, now: 0, nowAt: 0, running: true, lost: false,
  news: new Set(), seen: new Map(),
};
const EVERYTHING = ["people", "chats", "talk", "money", "faults"];
const SHOWN = 300; // messages of a chat
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
    if (parts.has("money") && state.bots.length) await loadMoney();
    if (parts.has("faults") && state.bots.length) await drawFaults(scene());
    tick();
  } catch (error) {
    if (!state.lost) toast(error.message, "bad");
  }
}

const me = () => state.users.find((user) => user.id === state.me);
const currentBot = () => state.bots.find((bot) => bot.id === state.open?.bot_id) ?? state.bots[0];
const sameChat = (one, other) => Boolean(one && other) && one.chat_id === other.chat_id && one.bot_id === other.bot_id;
const nameOf = (chat) => `${state.me}/${chat.chat_id}/${chat.bot_id}`;

function scene() {
  const bot = currentBot();
  return { me: me(), bot, users: state.users, blocked: Boolean(state.chats.find((chat) => chat.bot_id === bot.id)?.blocked) };
}

async function loadPeople() {
  Object.assign(state, await get("/state"));
  state.nowAt = performance.now();
  const remembered = Number(sessionStorage.getItem("me"));
  if (!me()) state.me = (state.users.find((user) => user.id === remembered) ?? state.users[0])?.id ?? null;
  state.news.delete(state.me);
  tick();
  keepFocus(() => drawPeople(state, become));
}

async function loadChats() {
  const mine = state.me;
  const { chats } = await get(`/users/${mine}/chats`);
  if (mine !== state.me) return;
  state.chats = chats.sort((one, other) => other.order - one.order);
  const wanted = state.open ?? state.left;
  state.open = state.chats.find((chat) => sameChat(chat, wanted))
    ?? state.chats.find((chat) => chat.type === "private") ?? state.chats[0] ?? null;
  const isOpen = (chat) => sameChat(chat, state.open);
  for (const chat of chats) if (isOpen(chat) || !state.seen.has(nameOf(chat))) state.seen.set(nameOf(chat), chat.order);
  keepFocus(() => drawChats(state.chats, { isOpen, isNew: (chat) => chat.order > state.seen.get(nameOf(chat)), openChat }));
}

async function loadTalk() {
  if (!state.open) return;
  const { chat_id: chatId, bot_id: botId } = state.open;
  const mine = state.me;
  const talk = await get(`/users/${mine}/messages?chat_id=${chatId}&bot_id=${botId ?? ""}&limit=${SHOWN}`);
  if (mine !== state.me || !sameChat(talk.chat, state.open)) return;
  state.talk = talk;
  state.open = talk.chat;
  keepFocus(drawTalk);
}

async function loadMoney() {
  const bot = currentBot();
  const mine = state.me;
  const { subscriptions } = await get(`/bots/${bot.id}/subscriptions`);
  if (mine !== state.me) return;
  keepFocus(() => drawNotice(me(), subscriptions.filter((item) => item.user_id === mine), state.now));
  await drawMoney(me(), bot, subscriptions);
}

// --- drawing the open chat ---

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
    drawMessages(list, talk.messages, { me: state.me, chat: talk.chat, actions, earlier: talk.earlier });
  } else {
    list.replaceChildren(el("div", { class: "empty" }, avatar(talk.chat.bot_id ?? 0, talk.chat.title, true),
      el("strong", {}, withStars(talk.chat.title)), talk.description && el("p", { class: "about" }, withStars(talk.description)), el("p", {}, bot ? "Press Start to talk to this bot." : "Nobody has written here yet.")));
  }
  drawMore([
    ["Subscriptions", () => openSubscriptions(me())],
    ["Open a link", actions.openLink],
    ...(bot ? [[talk.chat.blocked ? "Unblock the bot" : "Block the bot", () => actions.block(!talk.chat.blocked), true]] : []),
  ]);
  drawComposer(talk, actions);
  const newest = talk.messages.at(-1);
  if (atEnd || newest?.author.id === state.me || state.fresh) toEnd(!state.fresh);
  state.fresh = false;
  followEnd();
}

function toEnd(smooth) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  requestAnimationFrame(() => byId("scroll").scrollTo({ top: byId("scroll").scrollHeight, behavior: smooth && !calm ? "smooth" : "auto" }));
}

function followEnd() {
  const scroll = byId("scroll");
  keepFocus(() => { byId("to-end").hidden = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 240; });
}

// --- going elsewhere ---

function become(userId) {
  // The same place for another person: their own chat with this bot, or the group if they are in it.
  state.left = state.open?.type === "private" ? { chat_id: userId, bot_id: state.open.bot_id } : state.open;
  state.open = null;
  state.me = userId;
  sessionStorage.setItem("me", String(userId));
  changeView();
  closePanels();
  return reload(...EVERYTHING);
}

function openChat(chat) {
  state.open = chat;
  changeView();
  closePanels();
  return reload("chats", "talk", "money", "faults");
}

function changeView() {
  state.fresh = true;
  forgetComposer();
}

const actions = makeActions(state, openChat);

// --- events, start ---

/** Once a second: the clock, and for how long nobody has been there. */
function tick() {
  const age = (performance.now() - state.nowAt) / 1000;
  if (!state.lost) drawClock(state.now + (state.running ? age : 0), state.running);
  const inGroup = state.open?.type !== "private" && state.bots.find((bot) => bot.trouble);
  drawStatus({ lost: state.lost, bot: inGroup || currentBot(), age });
}

function onEvent(event) {
  if (event.type === "update") addUpdate(event.update);
  else if (event.type === "call") addCall(event.call);
  else if (event.type === "ledger") reload("people", "money");
  else if (event.type === "subscriptions") reload("people", "money");
  else if (event.type === "users") reload(...EVERYTHING);
  else if (event.type === "listening") reload("people");
  else if (event.type === "clock") reload("people", "talk", "money");
  else if (event.type === "commands") reload("talk");
  else if (event.type === "faults") reload("faults");
  else if (event.bot_id && event.chat_id !== state.me) newsFor(event); // another person's private chat
  else reload("chats", ...(sameChat(event, state.open) ? ["talk"] : []));
}

function newsFor(event) {
  if (event.type !== "message" || state.news.has(event.chat_id)) return;
  state.news.add(event.chat_id);
  reload("people");
}

setUpSheets();
setUpInspector();
setUpClock();
setUpPanels();
byId("purse").addEventListener("click", () => openPurse(me()));
byId("to-end").addEventListener("click", () => toEnd(true));
byId("scroll").addEventListener("scroll", followEnd, { passive: true });
setInterval(tick, 1000);
state.fresh = true;
listen(onEvent, () => {
  state.lost = false;
  reload(...EVERYTHING);
  loadActivity().catch((error) => toast(error.message, "bad"));
}, () => {
  state.lost = true;
  tick();
});
