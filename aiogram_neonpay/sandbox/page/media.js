// Owns drawing what messages hold beside text: pictures, albums, other files, paid media, contacts and places.

import { el, icon, stars, starWords, withStars } from "./dom.js";

const WIDTH = 330; // of a bubble, in pixels
const NAMES = { video: "Video", animation: "Animation", audio: "Audio", voice: "Voice message", video_note: "Video message", document: "File", sticker: "Sticker", photo: "Photo" };

/** Whether a message is a picture and nothing else, drawn to the edge of its bubble. */
export const isPicture = (message) => Boolean(message.paid_media || message.files?.some(shown));

export const isSticker = (message) => message.files?.length === 1 && message.files[0].kind === "sticker" && message.files[0].picture;

const shown = (file) => file.picture || ["video", "animation", "video_note"].includes(file.kind);

/** Draw the files of a message, or of the messages of an album. */
export function drawFiles(files) {
  const pictures = files.filter(shown);
  return [
    pictures.length > 0 && el("div", { class: `mosaic n${Math.min(pictures.length, 4)}` }, pictures.map((file) => tile(file, pictures.length === 1))),
    ...files.filter((file) => !shown(file)).map(fileLine),
  ];
}

/** Draw paid media: a price over what cannot be seen yet, or the media. */
export function drawPaidMedia(paid, unlock, key) {
  const grid = el("div", { class: `mosaic n${Math.min(paid.media.length, 4)}` }, paid.media.map((item) =>
    (item.kind === "preview" ? shaped(el("div", { class: "tile veiled" }), item, paid.media.length === 1) : tile(item, paid.media.length === 1))));
  if (paid.bought) return el("div", { class: "paid-media" }, grid, el("span", { class: "price-mark" }, icon("check"), el("span", { class: "unseen" }, "Bought for "), stars(paid.stars)));
  const name = paid.media.length === 1 ? "media" : `${paid.media.length} media`;
  return el("div", { class: "paid-media locked" }, grid,
    el("button", { class: "unlock", type: "button", "data-key": key, "aria-label": `Unlock ${name} for ${starWords(paid.stars)}`, onclick: unlock },
      icon("lock"), el("span", {}, "Unlock for "), stars(paid.stars)));
}

/** Draw what is neither text nor file: a contact, a place, a die. */
export function drawNote(note) {
  return el("div", { class: "note" }, withStars(note));
}

function tile(file, alone) {
  const name = file.name || NAMES[file.kind] || "Media";
  if (file.picture) {
    const picture = el("img", { src: file.url, alt: name, loading: "lazy", referrerpolicy: "no-referrer", onerror: (event) => event.target.replaceWith(el("span", { class: "absent" }, name)) });
    return shaped(el("a", { class: "tile", href: file.url, target: "_blank", rel: "noopener noreferrer" }, picture), file, alone);
  }
  const inside = [el("span", { class: "play" }, icon("play")), el("span", { class: "tile-name" }, name)];
  const box = file.url ? el("a", { class: "tile film", href: file.url, download: file.name || "" }, inside) : el("div", { class: "tile film" }, inside);
  return shaped(box, file, alone);
}

/** Give a tile that stands alone the shape of its picture, before that is loaded: nothing jumps. */
function shaped(box, { width, height }, alone) {
  if (!alone) return box;
  const ratio = width && height ? Math.min(Math.max(width / height, 0.6), 2.4) : 1.5;
  box.style.aspectRatio = String(ratio);
  box.style.maxWidth = `${Math.min(WIDTH, Math.round(380 * ratio))}px`;
  return box;
}

function fileLine(file) {
  const name = file.name || NAMES[file.kind] || "File";
  const inside = [
    el("span", { class: "file-sign", "aria-hidden": "true" }, icon(file.kind === "voice" || file.kind === "audio" ? "note" : "file")),
    el("span", { class: "file-name" }, el("strong", {}, withStars(name)), el("span", {}, file.url ? "Save" : NAMES[file.kind] ?? "")),
  ];
  return file.url ? el("a", { class: "file", href: file.url, download: file.name || "" }, inside) : el("div", { class: "file" }, inside);
}
