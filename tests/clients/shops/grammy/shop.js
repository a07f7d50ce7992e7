// The shop of tests/clients/visit.py in grammY.
//
// Environment: SANDBOX_URL, BOT_TOKEN; with WEBHOOK_PORT it takes its updates there instead of polling, and sends chat
// actions as the reply to a webhook request. NODE_PATH leads to grammY.
"use strict";

const http = require("node:http");
const { Bot, GrammyError, InlineKeyboard, webhookCallback } = require("grammy");

const PRICES = { premium: 25, mug: 40, ticket: 3, club: 50, gift: 2 };
const MONTH = 30 * 86400;

const bot = new Bot(process.env.BOT_TOKEN, {
  client: { apiRoot: process.env.SANDBOX_URL, canUseWebhookReply: (method) => method === "sendChatAction" },
});

const titled = (item) => item[0].toUpperCase() + item.slice(1);
const prices = (item) => [{ label: item, amount: PRICES[item] }];
const link = (item, options) =>
  bot.api.createInvoiceLink(titled(item), `One ${item}`, item, "", "XTR", prices(item), options);

bot.command("start", (ctx) => {
  const buttons = new InlineKeyboard().text("Premium", "buy:premium").text("Mug", "buy:mug");
  return ctx.reply("<b>Welcome</b>", { parse_mode: "HTML", reply_markup: buttons });
});

bot.callbackQuery(/^buy:(.+)$/, async (ctx) => {
  const item = ctx.match[1];
  await ctx.answerCallbackQuery(`Here is your ${item}`);
  await ctx.api.sendInvoice(ctx.from.id, titled(item), `One ${item}`, item, "XTR", prices(item));
});

bot.on("pre_checkout_query", (ctx) =>
  ctx.preCheckoutQuery.invoice_payload === "mug"
    ? ctx.answerPreCheckoutQuery(false, "Mugs are sold out")
    : ctx.answerPreCheckoutQuery(true));

bot.on("message:successful_payment", (ctx) => {
  const paid = ctx.message.successful_payment;
  const monthly = paid.is_first_recurring && paid.subscription_expiration_date ? " each month" : "";
  return ctx.reply(
    `Paid ${paid.total_amount} for ${paid.invoice_payload}${monthly}: ${paid.telegram_payment_charge_id}`,
  );
});

bot.on("message:refunded_payment", (ctx) => {
  const back = ctx.message.refunded_payment;
  return ctx.api.sendMessage(ctx.chat.id, `Refunded ${back.total_amount} for ${back.invoice_payload}`);
});

bot.command("link", async (ctx) => ctx.reply(await link("ticket")));

bot.command("club", async (ctx) => ctx.reply(await link("club", { subscription_period: MONTH })));

bot.command("books", async (ctx) => {
  const lines = [`Balance ${(await ctx.api.getMyStarBalance()).amount}`];
  for (const row of (await ctx.api.getStarTransactions({ limit: 100 })).transactions) {
    const partner = row.source ?? row.receiver;
    const way = row.source ? "in" : "out";
    lines.push(`${way} ${row.amount} ${partner.invoice_payload} ${partner.user.id} ${row.id}`);
  }
  await ctx.reply(lines.join("\n"));
});

bot.command("refund", (ctx) => ctx.api.refundStarPayment(ctx.from.id, ctx.match));

bot.command("free", (ctx) =>
  ctx.api.sendInvoice(ctx.from.id, "Free", "Free", "free", "XTR", [{ label: "x", amount: 0 }]));

bot.command("tell", async (ctx) => {
  await ctx.api.sendMessage(Number(ctx.match), "Psst");
  await ctx.reply("Told");
});

bot.command("novel", (ctx) => ctx.reply("Ж".repeat(4096)));

bot.command("edit", async (ctx) => {
  const sent = await ctx.reply("One");
  await ctx.api.editMessageText(ctx.chat.id, sent.message_id, "Two");
  await ctx.api.editMessageText(ctx.chat.id, sent.message_id, "Two");
});

bot.command("typing", (ctx) => ctx.replyWithChatAction("typing"));

bot.on("inline_query", (ctx) =>
  ctx.answerInlineQuery(
    [{
      type: "article",
      id: "gift",
      title: "A gift",
      input_message_content: {
        title: "Gift",
        description: "One gift",
        payload: "gift",
        currency: "XTR",
        prices: prices("gift"),
      },
    }],
    { cache_time: 0 },
  ));

bot.catch(async ({ error, ctx }) => {
  if (!(error instanceof GrammyError) || !ctx.chat) {
    throw error;
  }
  const seconds = error.parameters.retry_after;
  await ctx.reply(`Refused ${error.error_code}${seconds ? `, wait ${seconds}` : ""}: ${error.description}`);
});

async function main() {
  if (!process.env.WEBHOOK_PORT) {
    await bot.start();
    return;
  }
  const port = Number(process.env.WEBHOOK_PORT);
  const handle = webhookCallback(bot, "http", { secretToken: "open-sesame" });
  const server = http.createServer((request, response) =>
    handle(request, response).catch((failure) =>
      bot.errorHandler(failure).finally(() => response.headersSent || response.end())));
  server.listen(port, "127.0.0.1", () =>
    bot.api.setWebhook(`http://127.0.0.1:${port}/hook`, { secret_token: "open-sesame" }));
}

main();
