// Owns the sheets: confirm and pay, top up, receipt, callback alerts, a new person.

import { post } from "./api.js";
import { byId, clockTime, dayName, el, icon, stars, starWords, toast, withStars } from "./dom.js";
import { holdFocus } from "./focus.js";

const PACKS = [10, 50, 100, 250, 500, 1000, 2500, 10000];
const SENTENCES = {
  BOT_PRECHECKOUT_TIMEOUT: "The bot did not answer within 10 seconds. Nothing was charged.",
  BALANCE_TOO_LOW: "You do not have enough Stars.",
  FORM_EXPIRED: "This form is older than 10 minutes. Open the invoice again.",
  BOT_PRECHECKOUT_FAILED: "The bot declined this payment.",
};

let closable = true;
let giveFocusBack = () => {};

function show(...content) {
  const sheet = byId("sheet");
  sheet.replaceChildren(...content.filter(Boolean));
  if (sheet.open) {
    sheet.querySelector("[autofocus]")?.focus(); // the browser does it only for a sheet that opens
  } else {
    giveFocusBack = holdFocus();
    sheet.showModal();
  }
}

export function closeSheet() {
  closable = true;
  byId("sheet").close();
}

export function setUpSheets() {
  const sheet = byId("sheet");
  sheet.addEventListener("cancel", (event) => closable || event.preventDefault());
  // What opened the sheet may have been drawn anew meanwhile: a Pay button is a Receipt button now.
  sheet.addEventListener("close", () => giveFocusBack());
  sheet.addEventListener("click", (event) => event.target === sheet && closable && closeSheet());
}

/** Do what a sheet was asked for; close it when that fails, for what is said about it appears below it. */
async function attempt(act) {
  try {
    await act();
  } catch (error) {
    closeSheet();
    toast(error.message, "bad");
  }
}

const closeButton = () =>
  el("button", { class: "icon-button sheet-close", type: "button", "aria-label": "Close", onclick: closeSheet }, icon("close"));

const title = (text) => el("h2", { id: "sheet-title", class: "sheet-title" }, withStars(text));

const hero = (kind = "star", tone = "") => el("div", { class: `hero ${tone}` }, icon(kind));

/** Show the sheet of an invoice; `request` names it for the control API. */
export async function openPayment(userId, request) {
  try {
    confirmSheet(userId, request, await post(`/users/${userId}/form`, request));
  } catch (error) {
    toast(error.message, "bad");
  }
}

function confirmSheet(userId, request, form) {
  const short = form.amount - form.balance;
  if (short > 0) return topUpSheet(userId, request, form, short);
  const monthly = Boolean(form.subscription_period);
  const confirm = el("button", { class: "main-button", type: "button", autofocus: true }, "Confirm and Pay ", stars(form.amount));
  confirm.addEventListener("click", () => closable && submit(userId, form, confirm));
  show(
    closeButton(),
    el("div", { class: "sheet-purse" }, el("span", {}, "Balance"), stars(form.balance)),
    form.photo_url ? el("img", { class: "sheet-photo", src: form.photo_url, alt: "", referrerpolicy: "no-referrer", onerror: (event) => event.target.replaceWith(hero()) }) : hero(),
    title(monthly ? "Confirm your subscription" : "Confirm your purchase"),
    el("dl", { class: "facts" },
      el("div", { class: "fact lead" }, el("dt", {}, withStars(form.title)), el("dd", {}, stars(form.amount), monthly && el("small", {}, " / month"))),
      el("p", { class: "fact-text" }, withStars(form.description)),
      el("div", { class: "fact" }, el("dt", {}, "Seller"), el("dd", {}, form.bot_name)),
      el("div", { class: "fact" }, el("dt", {}, "Balance after"), el("dd", {}, stars(form.balance - form.amount)))),
    confirm,
    el("p", { class: "small-print" }, "Sandbox Stars have no value. The bot decides before anything is charged."));
}

async function submit(userId, form, button) {
  closable = false;
  button.ariaDisabled = "true"; // not `disabled`: that would lose the focus
  button.replaceChildren(el("span", { class: "spinner", "aria-hidden": "true" }), "Waiting for the bot\u2026");
  button.classList.add("waiting");
  byId("sheet").querySelector(".sheet-close").hidden = true;
  let receipt;
  try {
    receipt = await post(`/users/${userId}/pay`, { form_id: form.form_id });
  } catch (error) {
    receipt = { ok: false, error: error.message };
  }
  closable = true;
  if (receipt.ok) {
    closeSheet();
    toast(`Paid: ${form.title} for ${starWords(form.amount)}`, "good");
  } else {
    declinedSheet(form, receipt);
  }
}

function declinedSheet(form, receipt) {
  const words = receipt.error && receipt.error !== receipt.code ? receipt.error : SENTENCES[receipt.code] ?? receipt.error;
  show(
    closeButton(),
    hero("close", "bad"),
    title("Payment not completed"),
    el("p", { class: "verdict", role: "alert" }, withStars(words)),
    el("p", { class: "small-print" }, `${form.bot_name} was not paid. Your Stars are untouched.`),
    el("button", { class: "main-button", type: "button", autofocus: true, onclick: closeSheet }, "OK"));
}

function topUpSheet(userId, request, form, short) {
  const packs = PACKS.filter((pack) => pack >= short).slice(0, 3);
  if (!packs.length) packs.push(short);
  const buy = (pack) => attempt(async () => {
    await post(`/users/${userId}/stars`, { amount: pack });
    await openPayment(userId, request);
  });
  show(
    closeButton(),
    el("div", { class: "sheet-purse" }, el("span", {}, "Balance"), stars(form.balance)),
    hero(),
    title(`${starWords(short, "more ")} needed`),
    el("p", { class: "verdict" }, withStars(`${form.title} costs ${starWords(form.amount)}. Top up to go on; the bot has not been asked yet.`)),
    el("div", { class: "packs" }, packs.map((pack, index) =>
      el("button", { class: "pack", type: "button", autofocus: index === 0, onclick: () => buy(pack) },
        stars(pack, { sign: true }), el("span", {}, "Top up")))));
}

/** A top-up asked for from the purse, outside a purchase. */
export function openTopUp(user) {
  const buy = (pack) => attempt(async () => {
    await post(`/users/${user.id}/stars`, { amount: pack });
    closeSheet();
    toast(`${user.name} has ${starWords(pack, "more ")}`, "good");
  });
  show(
    closeButton(), hero(), title("Top up"),
    el("p", { class: "verdict" }, user.name, " has ", stars(user.stars), "."),
    el("div", { class: "packs" }, [50, 250, 1000].map((pack, index) =>
      el("button", { class: "pack", type: "button", autofocus: index === 0, onclick: () => buy(pack) },
        stars(pack, { sign: true }), el("span", {}, "Top up")))));
}

export function openReceipt(receipt) {
  const copy = async (event) => {
    const button = event.currentTarget;
    await navigator.clipboard?.writeText(receipt.charge_id);
    button.textContent = "Copied";
  };
  show(
    closeButton(),
    hero(receipt.refunded ? "undo" : "check", receipt.refunded ? "calm" : "good"),
    title(receipt.refunded ? "Refunded" : "Receipt"),
    el("dl", { class: "facts" },
      el("div", { class: "fact lead" }, el("dt", {}, withStars(receipt.title)), el("dd", {}, stars(receipt.amount))),
      el("p", { class: "fact-text" }, withStars(receipt.description)),
      el("div", { class: "fact" }, el("dt", {}, "Seller"), el("dd", {}, receipt.bot_name)),
      el("div", { class: "fact" }, el("dt", {}, "Date"), el("dd", {}, `${dayName(receipt.date)}, ${clockTime(receipt.date)}`)),
      receipt.subscription_until && el("div", { class: "fact" }, el("dt", {}, "Renews"), el("dd", {}, dayName(receipt.subscription_until))),
      el("div", { class: "fact" }, el("dt", {}, "Transaction"),
        el("dd", {}, el("code", { class: "charge" }, `${receipt.charge_id.slice(0, 14)}\u2026`),
          el("button", { class: "link-button", type: "button", onclick: copy }, "Copy")))),
    el("button", { class: "main-button", type: "button", autofocus: true, onclick: closeSheet }, "Done"));
}

export function openAlert(name, text) {
  show(title(name), el("p", { class: "verdict", role: "alert" }, withStars(text)),
    el("button", { class: "main-button", type: "button", autofocus: true, onclick: closeSheet }, "OK"));
}

export function openNewPerson(onMade) {
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
      el("label", { for: "person-name" }, "Name"), name,
      el("label", { for: "person-stars" }, "Stars"), amount,
      el("label", { for: "person-language" }, "Language code"), language,
      el("button", { class: "main-button", type: "submit" }, "Add")));
}
