"""What the people do in a shop, whatever it is written in, and what they and the ledger must then see.

The shops have the commands ``/start``, ``/link``, ``/club``, ``/books``, ``/refund``, ``/free``, ``/tell``, ``/novel``,
``/edit`` and ``/typing``; they answer a refused call with ``Refused <code>[, wait <seconds>]: <Telegram's words>``.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiogram_neonpay.sandbox import Sandbox, SandboxGroup, SandboxUser

#: A shop has to start, and machines are slow.
_START_SECONDS = 60.0
_ANSWER_SECONDS = 20.0


@dataclass
class Visit:
    """Two people and a group in the sandbox of one shop."""

    sandbox: Sandbox
    alice: SandboxUser
    bob: SandboxUser
    club: SandboxGroup

    async def ask(self, text: str, answer: str, *, patience: float = _ANSWER_SECONDS) -> str:
        """Let Alice write something, and return the text of the first answer that contains ``answer``."""
        asked = await self.alice.send(text)
        return await self.hear(answer, after=asked.id, patience=patience)

    async def refused(self, text: str, code: int) -> str:
        """Let Alice write something that makes the shop a call that is refused; return the words, in lower case.

        Libraries differ in what they make of the first letter, and of the prefix.
        """
        return (await self.ask(text, f"Refused {code}: ")).lower()

    async def hear(self, answer: str, *, after: int = 0, patience: float = _ANSWER_SECONDS) -> str:
        """Return the text of the bot's first message to Alice behind ``after`` that contains ``answer``."""

        def said() -> list[str]:
            return [m.text for m in self.alice.messages() if m.from_bot and m.id > after and answer in m.text]

        if not await self.sandbox.until(lambda: bool(said()), patience):
            heard = [message.text[:200] for message in self.alice.messages()]
            raise AssertionError(f"the shop does not say {answer!r}; the chat is {heard}")
        return said()[0]

    async def buy_and_be_declined(self) -> str:
        """Buy premium, in vain a mug; return the charge of premium."""
        await self.ask("/start", "Welcome", patience=_START_SECONDS)
        assert await self.alice.tap("Premium", timeout=_ANSWER_SECONDS) == "Here is your premium"
        bought = await self.alice.pay(timeout=_ANSWER_SECONDS)
        assert (bought.ok, bought.amount, self.alice.balance) == (True, 25, 475)
        assert bought.transaction_id is not None
        await self.hear(f"Paid 25 for premium: {bought.transaction_id}")

        assert await self.alice.tap("Mug", timeout=_ANSWER_SECONDS) == "Here is your mug"
        declined = await self.alice.pay(payload="mug", timeout=_ANSWER_SECONDS)
        assert (declined.ok, declined.error, declined.code) == (False, "Mugs are sold out", "BOT_PRECHECKOUT_FAILED")
        assert self.alice.balance == 475
        return bought.transaction_id

    async def pay_links(self) -> None:
        """Pay an invoice link, a subscription and an inline result in a group."""
        link = await self.ask("/link", "https://t.me/$")
        assert (await self.alice.pay(link=link)).ok
        await self.hear("Paid 3 for ticket")
        link = await self.ask("/club", "https://t.me/$")
        assert (await self.alice.pay(link=link)).subscription_expiration_date is not None
        await self.hear("Paid 50 for club each month")

        (gift,) = await self.alice.inline("gift", timeout=_ANSWER_SECONDS)
        await self.alice.send_inline(gift["id"], chat=self.club)
        assert (await self.alice.pay(chat=self.club)).amount == 2
        await self.hear("Paid 2 for gift")

    async def refund(self, charge_id: str) -> None:
        """Get the Stars of premium back, once; then read the shop's books."""
        await self.ask(f"/refund {charge_id}", "Refunded 25 for premium")
        assert self.alice.balance == 445
        assert "charge_already_refunded" in await self.refused(f"/refund {charge_id}", 400)
        assert "charge_not_found" in await self.refused("/refund nonsense", 400)

        balance, *rows = (await self.ask("/books", "Balance")).splitlines()
        assert balance == "Balance 55"
        assert [row.split()[:4] for row in rows] == [
            ["in", "25", "premium", str(self.alice.id)],
            ["in", "3", "ticket", str(self.alice.id)],
            ["in", "50", "club", str(self.alice.id)],
            ["in", "2", "gift", str(self.alice.id)],
            ["out", "25", "premium", str(self.alice.id)],
        ]
        assert rows[0].split()[4] == rows[4].split()[4] == charge_id

    async def be_refused(self) -> None:
        """See that Telegram's refusals reach the shop as its library words them."""
        assert "total price must be positive" in await self.refused("/free", 400)
        assert "can't initiate conversation" in await self.refused(f"/tell {self.bob.id}", 403)
        await self.bob.send("Hello")
        await self.ask(f"/tell {self.bob.id}", "Told")
        self.bob.block()
        assert "bot was blocked by the user" in await self.refused(f"/tell {self.bob.id}", 403)
        assert "chat not found" in await self.refused("/tell 5", 400)
        assert "message is not modified" in await self.refused("/edit", 400)
        await self.hear("Two")

    async def wait_when_told(self) -> None:
        """See that flood control and its seconds reach the shop."""
        self.sandbox.faults.add("sendChatAction", error=429, retry_after=7, times=1)
        await self.ask("/typing", "Refused 429, wait 7: ")

    async def be_typed_to(self) -> None:
        """See the bot type, which a shop may ask for in its reply to a webhook request."""
        await self.alice.send("/typing")

        def typed() -> bool:
            return any(call.method == "sendChatAction" and call.result is True for call in self.sandbox.calls)

        assert await self.sandbox.until(typed, _ANSWER_SECONDS)

    async def read_much(self) -> None:
        """Receive the longest message there is, in letters that are long in a query string."""
        assert await self.ask("/novel", "ЖЖЖ") == "Ж" * 4096
