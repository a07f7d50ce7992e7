"""``python -m aiogram_neonpay doctor``, as somebody at a terminal meets it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiogram_neonpay.cli import main
from aiogram_neonpay.sandbox import Sandbox, SandboxServer

BOT = """
import os
from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram_neonpay import PaymentStage, SQLiteStorage, neonpay_router

pay = neonpay_router({"tea": PaymentStage("Tea", "A cup of tea", 1)})
dp = Dispatcher(storage=SQLiteStorage("shop.db"))
dp.include_router(pay)
empty = Dispatcher()


def make_bot() -> Bot:
    api = TelegramAPIServer.from_base(os.environ["API"])
    return Bot(os.environ["TOKEN"], session=AiohttpSession(api=api))


bot = make_bot() if "TOKEN" in os.environ else None
"""


def doctor(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "shop.py").write_text(BOT, encoding="utf-8")
    root = Path(__file__).resolve().parents[2]
    known = {name: value for name, value in os.environ.items() if name != "BOT_TOKEN"}
    return subprocess.run(
        [sys.executable, "-m", "aiogram_neonpay", "doctor", *arguments],
        cwd=folder,
        env={**known, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.asyncio
async def test_it_examines_a_program_and_its_exit_status_tells(tmp_path: Path) -> None:
    sandbox = Sandbox(seed=0)
    token = sandbox.create_bot("neon_demo_bot")
    async with SandboxServer(sandbox, port=0) as server:
        place = {"TOKEN": token, "API": server.url}
        healthy = await asyncio.to_thread(doctor, tmp_path, "shop:dp", "--bot", "shop:bot", **place)
        assert (healthy.returncode, healthy.stderr) == (0, "")
        assert "nothing was found" in healthy.stdout

        await sandbox.call(token, "getUpdates", {"allowed_updates": '["message"]'})
        ill = await asyncio.to_thread(doctor, tmp_path, "shop:pay", "--bot", "shop:bot", **place)
        assert ill.returncode == 1
        assert "updates_not_asked_for" in ill.stdout and "Fix: " in ill.stdout
        assert token not in ill.stdout + ill.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shop"], "write module:name"),
        (["shopp:dp"], "cannot be imported"),
        (["shop:nothing"], "has no 'nothing'"),
        (["shop:empty"], "has no NeonPay"),
        (["shop:make_bot"], "not function"),
        (["shop:dp"], "there is no bot"),
        (["shop:dp", "--bot", "shop:pay"], "no aiogram Bot"),
    ],
)
def test_what_cannot_be_examined_is_said_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    (tmp_path / "shop.py").write_text(BOT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("BOT_TOKEN", raising=False)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    status = main(["doctor", *arguments])
    printed = capsys.readouterr()

    assert (status, printed.out) == (2, "")
    assert said in printed.err and len(printed.err.splitlines()) == 1
