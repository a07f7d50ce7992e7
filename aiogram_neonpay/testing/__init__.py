"""Testing a bot without Telegram: the sandbox with the bot in it, recorded calls, and events for single handlers.

The pytest plugin hands a :class:`BotSandbox` to tests as the fixture ``neonpay_sandbox``; any other test runner may
use it with ``async with``.
"""

from aiogram_neonpay.testing.bot_sandbox import BotSandbox
from aiogram_neonpay.testing.calls import CallList, RecordedCall, RecordedCalls
from aiogram_neonpay.testing.events import answers, make_event
from aiogram_neonpay.testing.options import SandboxOptions
from aiogram_neonpay.testing.people import BotUser

__all__ = [
    "BotSandbox",
    "BotUser",
    "CallList",
    "RecordedCall",
    "RecordedCalls",
    "SandboxOptions",
    "answers",
    "make_event",
]
