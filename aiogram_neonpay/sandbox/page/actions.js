// Owns what a person does in a chat: writing, tapping, paying, blocking, following links.

import { post } from "./api.js";
import { toast } from "./dom.js";
import { openPayment, openReceipt } from "./payment.js";
import { openAlert } from "./sheet.js";

const INVOICE_LINK = /^https?:\/\/t\.me\/(?:\$|invoice\/)[\w-]+/;

/** Make the actions; `state` is the page's, `openChat` shows a chat and returns once it is there. */
export function makeActions(state, openChat) {
  const place = () => ({ chat_id: state.open.chat_id, bot_id: state.open.bot_id });
  const tell = (path, body) => attempt(() => post(`/users/${state.me}${path}`, body));

  const actions = {
    send: (text) => tell("/send", { ...place(), text }),
    command: (text) => actions.send(text),
    block: (blocked) => tell("/block", { bot_id: state.open.bot_id, blocked }),
    unblock: async () => { await actions.block(false); await actions.send("/start"); },
    receipt: openReceipt,
    pay: (message) => openPayment(state.me, { ...place(), message_id: message.id }),
    press: async (message, button, row, column) => {
      if (button.kind === "copy_text") {
        await navigator.clipboard?.writeText(button.copy);
        return toast("Copied", "good");
      }
      if (button.kind === "url") return follow(button.url);
      if (button.kind !== "callback_data") return toast("The sandbox does not have this kind of button yet");
      const answer = await tell("/tap", { ...place(), message_id: message.id, row, column });
      if (answer?.alert && answer.text) openAlert(state.open.title, answer.text);
      else if (answer?.text) toast(answer.text);
      if (answer?.url) follow(answer.url);
    },
    /** Follow links that lead back into the sandbox; tell whether this was one. */
    link: (url) => {
      if (INVOICE_LINK.test(url)) {
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
