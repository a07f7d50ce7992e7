"""``BotSandbox``: a bot in a sandbox of its own, for the time of one test."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay.errors import ConfigurationError
from aiogram_neonpay.ledger.memory import MemoryEngine
from aiogram_neonpay.sandbox import Clock, Faults, Receipt, Rules, Sandbox, SandboxError, SandboxServer
from aiogram_neonpay.sandbox.rules import PRE_CHECKOUT_DEADLINE
from aiogram_neonpay.sandbox.session import LocalSession, SandboxSession, borrowing
from aiogram_neonpay.testing.calls import RecordedCalls
from aiogram_neonpay.testing.dialogs import dialogs_at_work
from aiogram_neonpay.testing.options import SandboxOptions
from aiogram_neonpay.testing.people import BotUser
from aiogram_neonpay.testing.pump import Pump
from aiogram_neonpay.testing.rehearsal import installations, rehearsing

__all__ = ["BotSandbox"]

GLANCE = 0.05
"""Real seconds after which a wait looks again, should nothing have woken it."""
GRACE = 0.25
"""Real seconds for what a bot does in tasks of its own, which nobody but the bot knows of."""


class BotSandbox:
    """A dispatcher with a bot, a sandbox round it, and people to act as.

    It starts with the first thing that is awaited, in the event loop of that moment, and lives until it is closed::

        async with BotSandbox(dp) as sandbox:
            alice = sandbox.user("Alice", stars=100)
            await alice.send("/buy")

    The dispatcher is on loan: for this time it has a storage of its own and lives by the sandbox's clock, as does the
    plugin; afterwards it is as before. Its start-up and shutdown handlers run.

    :ivar sandbox: the sandbox itself, whose own methods do not wait for the bot.
    :ivar bot: the bot, for calls of the test's own.
    :ivar calls: the Bot API calls made so far: ``calls.send_invoice.last.title``.
    """

    def __init__(self, dispatcher: Dispatcher, options: SandboxOptions | None = None) -> None:
        if not isinstance(dispatcher, Dispatcher):
            raise ConfigurationError(f"a sandbox is for an aiogram Dispatcher, not {type(dispatcher).__name__}")
        self.options = options or SandboxOptions()
        self.dispatcher = dispatcher
        rules = self.options.rules or Rules(polling_brake=False)
        self.sandbox = Sandbox(self.options.seed, clock=self.options.clock or Clock(running=False), rules=rules)
        own = self.options.bot
        self._token = self.sandbox.create_bot(self.options.username, token=own.token if own else None)
        session = LocalSession() if self.options.http else SandboxSession(self.sandbox)
        self.bot = own or Bot(self._token, session=session, default=self.options.bot_defaults)
        self._session = session
        self.calls = RecordedCalls(self.sandbox)
        self._server: SandboxServer | None = None
        self._pump: Pump | None = None
        self._stack: AsyncExitStack | None = None
        self._loan = ExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Lock | None = None
        self._moving: asyncio.Lock | None = None
        self._closed = False
        self._moves: list[float] = []

    # What a test does

    def user(
        self,
        name: str,
        stars: int = 0,
        language_code: str | None = "en",
        *,
        user_id: int | None = None,
        username: str | None = None,
    ) -> BotUser:
        """Return a new person who owns ``stars`` Stars; what they do is over when the bot has come to rest.

        :param user_id: their id, such as an admin's; the next free one by default.
        """
        created = self.sandbox.create_user(
            name, stars=stars, language_code=language_code, user_id=user_id, username=username
        )
        return BotUser(self, created)

    @property
    def clock(self) -> Clock:
        """The time that sandbox and plugin live by; :meth:`advance` moves it."""
        return self.sandbox.clock

    @property
    def faults(self) -> Faults:
        """Failures on order: ``faults.add("sendMessage", error=429, times=1)``."""
        return self.sandbox.faults

    @property
    def errors(self) -> list[Exception]:
        """What the bot's handlers raised, oldest first."""
        return [] if self._pump is None else self._pump.errors

    @property
    def url(self) -> str:
        """Where the sandbox is served, with ``http=True``.

        :raises SandboxError: when it is not, or not yet.
        """
        if self._server is None:
            raise SandboxError("the sandbox is not served: it is with http=True, once something was awaited")
        return self._server.url

    def advance(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> Awaitable[None]:
        """Let time pass; await it, and all that falls due on the way has been done, each at its own moment.

        Subscriptions are renewed, faults end, the plugin tries again; at the end it reads Telegram's ledger if it would
        have by then.

        :raises ValueError: for a negative time.
        """
        step = seconds + 60 * minutes + 3600 * hours + 86400 * days
        if step < 0:
            raise ValueError(f"the clock cannot go back: asked to advance by {step} seconds")
        self._moves.append(step)
        return _Settling(self)

    def repeat_update(self, receipt: Receipt | str) -> Awaitable[None]:
        """Let Telegram send the update of a payment again; await it, and the bot has handled it."""
        self.sandbox.repeat_update(receipt)
        return _Settling(self)

    def refund(self, receipt: Receipt | str, *, notify: bool = True) -> Awaitable[None]:
        """Refund a payment as another program would; await it, and the bot has heard of it.

        :param notify: whether the bot gets the update of the refund.
        """
        self.sandbox.refund(receipt, notify=notify)
        return _Settling(self)

    async def settle(self) -> None:
        """Wait until nothing is going on: no update waits, no handler runs, nothing of the plugin is due.

        :raises SandboxError: when that takes longer than ``patience``, saying what is going on.
        """
        await self.start()
        while self._moves:
            await self._rest()
            await self._pass(self._moves.pop(0))
        if not await self._rest():
            raise SandboxError(
                f"the bot has not come to rest within {self.options.patience:g} s: " + "; ".join(self._going_on())
            )

    # What people need of it

    async def outlast(self, condition: Callable[[], bool]) -> bool:
        """Wait until a condition holds, or nothing is going on that could make it hold."""
        if condition():
            return True
        await self._rest(condition)
        # Something that the bot does beside its handlers may still bring it about.
        return await self.sandbox.world.changed.until(condition, GRACE)

    async def see_through(self, paying: asyncio.Future[Any], looking: Callable[[], bool]) -> None:
        """Wait for the end of a payment; where nobody answers its checkout, time passes.

        :param looking: whether the payer still looks for the invoice.
        """
        while not paying.done():
            await self._rest(paying.done)
            if looking():
                await asyncio.wait({paying}, timeout=GLANCE)
            elif not paying.done():
                await asyncio.wait({paying}, timeout=GRACE)
                await self._pass(PRE_CHECKOUT_DEADLINE, paying.done)
        await self.settle()

    # Its life

    async def start(self) -> None:
        """Start the bot, unless it has started; nobody has to call it.

        :raises SandboxError: in a second event loop, or after the end.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise SandboxError("aiogram runs on asyncio only: let a fixture anyio_backend return 'asyncio'") from None
        if self._closed:
            raise SandboxError("this sandbox has ended with its test")
        if self._loop is not None and self._loop is not loop:
            raise SandboxError(
                "this sandbox was started in another event loop: give the test and its asynchronous fixtures one "
                "loop_scope"
            )
        self._loop = loop
        self._starting = self._starting or asyncio.Lock()
        self._moving = self._moving or asyncio.Lock()
        async with self._starting:
            if self._stack is None:
                await self._start()

    async def _start(self) -> None:
        dispatcher, storage = self.dispatcher, self.options.storage or MemoryStorage()
        async with AsyncExitStack() as stack:
            self._loan.enter_context(rehearsing(dispatcher, self.clock, storage))
            self._loan.enter_context(borrowing(self.bot, self._session))
            stack.callback(self.release)
            if self.options.http:
                self._server = await stack.enter_async_context(SandboxServer(self.sandbox))
                self._session.api = self._server.api
            stack.push_async_callback(self._session.close)
            data = {**dispatcher.workflow_data, "dispatcher": dispatcher, "bots": (self.bot,)}
            data.pop("bot", None)
            await dispatcher.emit_startup(bot=self.bot, **data)
            stack.push_async_callback(dispatcher.emit_shutdown, bot=self.bot, **data)
            account = self.sandbox.world.bot_by_token(self._token)
            assert account is not None
            self._pump = Pump(dispatcher, self.bot, account, receives_webhooks=not self.options.http)
            self._pump.start()
            stack.push_async_callback(self._pump.stop)
            stack.callback(self.sandbox.world.faults.let_go)
            self._stack = stack.pop_all()

    async def aclose(self) -> None:
        """Stop the bot and give the dispatcher back. Closing twice does nothing.

        Time that was to pass and did not is warned of.
        """
        self._closed = True
        if self._stack is not None:
            stack, self._stack = self._stack, None
            await stack.aclose()
        if self._moves:
            self._moves.clear()
            warnings.warn("advance() was called and not awaited: no time has passed", RuntimeWarning, stacklevel=2)

    def release(self) -> None:
        """Give the dispatcher back, also where the event loop has gone and nothing can be closed any more."""
        self._closed = True
        self._loan.close()

    async def __aenter__(self) -> BotSandbox:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    # Rest and time

    async def _rest(self, enough: Callable[[], bool] = lambda: False) -> bool:
        """Wait until nothing is going on, or it is enough; tell whether it came to that in time."""
        await self.start()
        loop = asyncio.get_running_loop()
        end = loop.time() + self.options.patience
        while True:
            while not self._is_quiet():
                left = end - loop.time()
                if left <= 0:
                    return False
                if enough():
                    return True
                await self._stir(min(left, GLANCE))
            try:
                # In a task of its own, so that whoever just began something comes first.
                done = await asyncio.wait_for(asyncio.ensure_future(self._run_due()), max(GLANCE, end - loop.time()))
            except asyncio.TimeoutError:
                return False
            if not done and self._is_quiet():
                return True

    async def _run_due(self) -> int:
        return sum([await item.worker.run_due() for item in installations(self.dispatcher)])

    def _is_quiet(self) -> bool:
        assert self._pump is not None
        return self._pump.is_resting and not self._background() and not dialogs_at_work()

    def _background(self) -> list[asyncio.Task[None]]:
        return [task for item in installations(self.dispatcher) for task in item.feed.tasks]

    async def _stir(self, seconds: float) -> None:
        """Wait until something has changed."""
        assert self._pump is not None
        running = [*self._pump.tasks, *self._background(), *dialogs_at_work()]
        if running:
            await asyncio.wait(running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        else:
            await self.sandbox.world.arrivals.wait(seconds)

    def _going_on(self) -> list[str]:
        assert self._pump is not None
        going_on = self._pump.describe()
        if background := self._background():
            going_on.append(f"the plugin is at work on {len(background)} payments")
        if dialogs_at_work():
            going_on.append("a dialog of aiogram-dialog is moved in the background")
        return going_on or ["the bot does not ask for updates"]

    async def _pass(self, seconds: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, from one moment at which something falls due to the next, until it is enough."""
        assert self._moving is not None
        async with self._moving:  # where two wait for time to pass, it passes for the first, and maybe that is enough
            clock = self.clock
            target = clock.now() + seconds
            while not enough() and clock.now() < target:
                moment = self._next_moment()
                moment = target if moment is None else min(moment, target)
                clock.advance(seconds=max(0.0, moment - clock.now()))
                await self._rest(enough)
        for item in installations(self.dispatcher):
            await item.reconciler.run_due()

    def _next_moment(self) -> float | None:
        moments = [self.clock.next_timer]
        for item in installations(self.dispatcher):
            if isinstance(item.shop.engine, MemoryEngine):
                moments.append(item.shop.engine.next_due())
        return min((moment for moment in moments if moment is not None), default=None)


class _Settling:
    """What a test may await after it has set something in motion."""

    def __init__(self, sandbox: BotSandbox) -> None:
        self._sandbox = sandbox

    def __await__(self) -> Generator[Any, None, None]:
        return self._sandbox.settle().__await__()
