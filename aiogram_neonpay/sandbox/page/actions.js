// Owns what a person does in a chat: writing, tapping, paying, blocking, following links.

import { post } from "./api.js";
import { chooseChat, chooseFile, chooseLink } from "./choosing.js";
import { writeInto } from "./composer.js";
import { toast } from "./dom.js";
import { openMenu } from "./menu.js";
import { openPayment, openReceipt, openUnlock } from "./payment.js";
import { openAlert } from "./sheet.js";
import { openSubscriptions } from "./subscriptions.js";

/** Where people are who share their location: in degrees. */
const HOME = { latitude: 40.4093, longitude: 49.8671 };
const INVOICE_LINK = /^(?:https?:\/\/)?t\.me\/(?:\$|invoice\/)[\w-]+/i;
const BOT_LINK = /^(?:(?:https?:\/\/)?(?:t|telegram)\.me\/|tg:(?:\/\/)?resolve\?domain=)(\w+)(?:[?&]start=([\w-]*))?$/i;

/** Make the actions; `state` is the page's, `openChat` shows a chat and returns once it is there. */
export function makeActions(state, openChat) {
  const place = () => ({ chat_id: state.open.chat_id, bot_id: state.open.bot_id });
  const tell = (path, body) => attempt(() => post(`/users/${state.me}${path}`, body));

  const actions = {
    send: (text, replyTo) => tell("/send", { ...place(), text, ...(replyTo ? { reply_to: replyTo } : {}) }),
    command: (text) => actions.send(text),
    block: (blocked) => tell("/block", { bot_id: state.open.bot_id, blocked }),
    unblock: async () => { await actions.block(false); await actions.send("/start"); },
    receipt: (receipt) => openReceipt(receipt, () => openSubscriptions(state.users.find((user) => user.id === state.me))),
    unlock: (message) => attempt(() => openUnlock(state.me, place(), message)),
    /** Press a button of the bot's keyboard, which may ask for more than its text. */
    pressReply: (button) => (Object.keys(button).some((name) => name.startsWith("request_") || name === "web_app")
      ? tell("/tap", { button: button.text, chat_id: state.open.chat_id }) : actions.send(button.text)),
    attach: (anchor) => openMenu(anchor, [
      ["Photo or file", () => chooseFile((body) => tell("/file", { ...place(), ...body }))],
      ["My contact", () => tell("/contact", place())],
      ["My location", () => tell("/location", { ...place(), ...HOME })],
    ], "Attach"),
    messageMenu: (message, anchor) => openMenu(anchor, [
      ["Reply", () => writeInto({ replyTo: message })],
      ["Forward", () => chooseChat("Forward to", state.chats, (chat) => forward(message, chat))],
      ...(message.text ? [["Copy text", () => navigator.clipboard?.writeText(message.text)]] : []),
    ], "Message"),
    openLink: () => chooseLink((url) => actions.link(url) || toast(`${url} leads to nothing in this sandbox`, "bad")),
    /** The bot that a text like "@bot query" is for, if it is for one. */
    inlineBot: (text) => {
      const name = /^@(\w+)\s/.exec(text)?.[1].toLowerCase();
      return name && state.bots.find((bot) => bot.username.toLowerCase() === name);
    },
    inline: async (bot, query) => (await tell("/inline", { query, bot_id: bot.id }))?.results,
    sendInline: (bot, result) => tell("/inline/send", { result_id: result.id, chat_id: state.open.chat_id, bot_id: bot.id }),
    pay: (message) => openPayment(state.me, { ...place(), message_id: message.id }),
    press: async (message, button, row, column) => {
      if (button.kind === "copy_text") {
        await navigator.clipboard?.writeText(button.copy);
        return toast("Copied", "good");
      }
      if (button.kind === "url") return follow(button.url);
      if (button.kind.startsWith("switch_inline_query")) return switchInline(message, button);
      if (button.kind !== "callback_data") return toast("The sandbox does not have this kind of button yet");
      const answer = await tell("/tap", { ...place(), message_id: message.id, row, column });
      if (answer?.alert && answer.text) openAlert(state.open.title, answer.text);
      else if (answer?.text) toast(answer.text);
      if (answer?.url) follow(answer.url);
    },
    /** Follow links that lead back into the sandbox; tell whether this was one. */
    link: (url) => {
      if (INVOICE_LINK.test(url)) {
        openPayment(state.me, { link: url.replace(/^(?!https?:)/i, "https://") });
        return true;
      }
      const start = BOT_LINK.exec(url);
      const bot = start && state.bots.find((item) => item.username.toLowerCase() === start[1].toLowerCase());
      if (!bot) return false;
      const chat = state.chats.find((item) => item.bot_id === bot.id);
      openChat(chat).then(() => actions.send(`/start ${start[2] ?? ""}`.trim()));
      return true;
    },
  };

  const forward = async (message, chat) => {
    const sent = await tell("/forward", { ...place(), message_id: message.id, to_chat_id: chat.chat_id, to_bot_id: chat.bot_id });
    if (sent) openChat(chat);
  };

  const switchInline = (message, button) => {
    const bot = state.bots.find((item) => item.id === message.author.id) ?? state.bots.find((item) => item.username === message.via);
    const ask = () => bot && writeInto({ text: `@${bot.username} ${button.query}` });
    if (button.kind === "switch_inline_query_current_chat") return ask();
    chooseChat("Choose a chat", state.chats, (chat) => openChat(chat).then(ask));
  };

  const follow = (url) => {
    if (actions.link(url)) return;
    if (/^(https?|tg):/i.test(url)) window.open(url, "_blank", "noopener,noreferrer");
    else toast(`The page does not open ${url}`);
  };

  return actions;
}

async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    toast(error.message, "bad");
    return null;
  }
}
