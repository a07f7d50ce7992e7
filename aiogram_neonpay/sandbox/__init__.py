"""A stand-in for Telegram's servers: the Bot API over HTTP, people who own Stars, and a chat page.

It runs, tests and demonstrates bots that sell for Telegram Stars with no token and no internet::

    sandbox = Sandbox(seed=0)
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice", stars=500)
    async with SandboxServer(sandbox) as server:
        bot = Bot(token, session=AiohttpSession(api=server.api))
        ...
        await alice.send("/buy")
        receipt = await alice.pay()

Nothing in here knows the rest of the package: any bot, in any language, can be pointed at the server.
"""

from aiogram_neonpay.sandbox.bookkeeping import BotLedger, PastSale
from aiogram_neonpay.sandbox.clock import Clock
from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import ArgumentError, LostReply, SandboxError
from aiogram_neonpay.sandbox.faults.orders import Faults
from aiogram_neonpay.sandbox.faults.rules import CallFault, Fault, UpdateFault
from aiogram_neonpay.sandbox.files import Upload
from aiogram_neonpay.sandbox.http.server import SandboxServer
from aiogram_neonpay.sandbox.methods import Reply
from aiogram_neonpay.sandbox.models import Call, ChatMessage, LedgerRow, PersonRow, Receipt, Subscription
from aiogram_neonpay.sandbox.presence import SandboxGroup
from aiogram_neonpay.sandbox.rules import Rules
from aiogram_neonpay.sandbox.runner import (
    DEMO_USERS,
    DemoUser,
    RunningSandbox,
    run_sandbox,
    serve_dispatcher,
)
from aiogram_neonpay.sandbox.session import LocalSession, SandboxSession
from aiogram_neonpay.sandbox.users import SandboxUser

__all__ = [
    "DEMO_USERS",
    "ArgumentError",
    "BotLedger",
    "Call",
    "CallFault",
    "ChatMessage",
    "Clock",
    "DemoUser",
    "Fault",
    "Faults",
    "LedgerRow",
    "LocalSession",
    "LostReply",
    "PastSale",
    "PersonRow",
    "Receipt",
    "Reply",
    "Rules",
    "RunningSandbox",
    "Sandbox",
    "SandboxError",
    "SandboxGroup",
    "SandboxServer",
    "SandboxSession",
    "SandboxUser",
    "Subscription",
    "UpdateFault",
    "Upload",
    "run_sandbox",
    "serve_dispatcher",
]
