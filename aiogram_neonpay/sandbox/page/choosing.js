// Owns the sheets that ask before something is sent: which chat, which file, which link.

import { avatar, el, labelled, toast, withStars } from "./dom.js";
import { closeButton, closeSheet, show, title } from "./sheet.js";

/** The largest file that the control API takes, in bytes: it travels as base64. */
const LARGEST = 1_500_000;

/** Ask for a chat; `act` gets it. */
export function chooseChat(heading, chats, act) {
  show(closeButton(), title(heading),
    el("div", { class: "chats" }, chats.map((chat, index) => el("button", {
      class: "chat-line", type: "button", autofocus: index === 0,
      onclick: () => { closeSheet(); act(chat); },
    }, avatar(chat.bot_id ?? chat.chat_id, chat.title), el("strong", {}, withStars(chat.title))))));
}

/** Ask for a file, then for its caption; `send` gets the body that the control API takes. */
export function chooseFile(send) {
  const field = el("input", { type: "file" });
  field.addEventListener("change", async () => {
    const [file] = field.files;
    if (!file) return;
    if (file.size > LARGEST) return toast(`The page sends files of up to 1.5 MB; ${file.name} has ${(file.size / 1e6).toFixed(1)} MB`, "bad");
    captionSheet(file, await base64(file), send);
  });
  field.click();
}

function captionSheet(file, content, send) {
  const isPicture = ["image/png", "image/jpeg", "image/webp", "image/bmp"].includes(file.type);
  const caption = el("input", { id: "caption", maxlength: "1024", autocomplete: "off", autofocus: true });
  const kind = el("input", { id: "as-file", type: "checkbox", checked: !isPicture, disabled: !isPicture });
  const done = (event) => {
    event.preventDefault();
    closeSheet();
    send({ kind: kind.checked ? "document" : "photo", name: file.name, caption: caption.value, content });
  };
  show(closeButton(), title(isPicture ? "Send a photo" : "Send a file"),
    isPicture ? el("img", { class: "sheet-preview", src: `data:${file.type};base64,${content}`, alt: file.name }) : el("p", { class: "verdict" }, file.name),
    el("form", { class: "form", onsubmit: done },
      labelled("Caption", caption),
      isPicture && el("label", { class: "check", for: "as-file" }, kind, "Send as a file"),
      el("button", { class: "main-button", type: "submit" }, "Send")));
}

/** Ask for a link to open as this person. */
export function chooseLink(open) {
  const field = el("input", { id: "link", type: "text", inputmode: "url", placeholder: "https://t.me/\u2026", required: true, autocomplete: "off", autofocus: true });
  const done = (event) => {
    event.preventDefault();
    closeSheet();
    open(field.value.trim());
  };
  show(closeButton(), title("Open a link"),
    el("p", { class: "verdict" }, "A link to a bot of this sandbox, with or without ?start=, or to an invoice."),
    el("form", { class: "form", onsubmit: done }, labelled("Link", field), el("button", { class: "main-button", type: "submit" }, "Open")));
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
