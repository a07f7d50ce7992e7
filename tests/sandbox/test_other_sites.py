"""What a page of another site makes a browser send here: by name, by address, and by a name that it leads here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from aiogram_neonpay.sandbox import Sandbox, SandboxServer
from tests.sandbox.conftest import Stand
from tests.sandbox.sockets import exchange, head, status

STATE = "/sandbox/api/state"
JSON = "application/json"
ADVANCE = b'{"seconds": 5}'
OWN_NAMES = ["127.0.0.1", "localhost", "LOCALHOST", "127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "127.8.9.1"]
STRANGE_NAMES = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "localhost.",
    "",
    "[::1",
    ":{port}",
]
STRANGE_ORIGINS = [
    "null",
    "https://evil.example",
    "http://evil.example:{port}",
    "http://127.0.0.1:1",
    "http://127.0.0.1",
    "http://localhost:{port}",
    "http://127.0.0.1:{port}@evil.example",
    "http://[",
    "file://",
    "",
    "chrome-extension://127.0.0.1:{port}",
]


def page_and_apis(stand: Stand) -> list[str]:
    return ["/", "/page/app.js", STATE, "/sandbox/api/events", f"/bot{stand.token}/getMe"]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", OWN_NAMES)
async def test_the_page_opens_under_the_loopback_address(stand: Stand, name: str) -> None:
    for path in ("/", STATE):
        assert await status(stand.server, head("GET", path, Host=name.format(port=stand.server.port))) == 200


@pytest.mark.asyncio
@pytest.mark.parametrize("name", STRANGE_NAMES)
async def test_a_name_that_others_may_own_leads_nowhere(stand: Stand, name: str) -> None:
    for path in page_and_apis(stand):
        assert await status(stand.server, head("GET", path, Host=name.format(port=stand.server.port))) in (400, 403)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "name", ["sandbox:80", "host.docker.internal:8181", "bot-api.local", "10.0.0.5", "[fd00::1]:1"]
)
async def test_bots_may_call_by_names_that_no_stranger_can_own(stand: Stand, name: str) -> None:
    assert await status(stand.server, head("GET", f"/bot{stand.token}/getMe", Host=name)) == 200
    assert await status(stand.server, head("GET", STATE, Host=name)) == 403


@pytest.mark.asyncio
@pytest.mark.parametrize("origin", STRANGE_ORIGINS)
async def test_requests_of_other_origins_are_refused(stand: Stand, origin: str) -> None:
    host = f"127.0.0.1:{stand.server.port}"
    for path in page_and_apis(stand):
        request = head("GET", path, Host=host, Origin=origin.format(port=stand.server.port))
        assert await status(stand.server, request) == 403
    own = head("GET", STATE, Host=host, Origin=f"http://{host}", Sec_Fetch_Site="same-origin")
    assert await status(stand.server, own) == 200


@pytest.mark.asyncio
@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
async def test_images_and_scripts_of_other_sites_call_neither_control_nor_bot_api(stand: Stand, site: str) -> None:
    for path in (STATE, "/sandbox/api/events", f"/bot{stand.token}/setWebhook?url=http://intranet/"):
        assert await status(stand.server, head("GET", path, Sec_Fetch_Site=site)) == 403
    assert stand.sandbox.world.bots[7000000001].webhook is None
    assert await status(stand.server, head("GET", "/", Sec_Fetch_Site=site)) == 200  # a link to the page


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", ""]
)
async def test_forms_move_nothing(stand: Stand, kind: str) -> None:
    before = stand.sandbox.clock.now()
    for path in ("/sandbox/api/clock", "/sandbox/api/users"):
        request = head("POST", path, Content_Type=kind, Content_Length=str(len(ADVANCE))) + ADVANCE
        assert await status(stand.server, request) == 403
    assert stand.sandbox.clock.now() == before
    request = head("POST", "/sandbox/api/clock", Content_Type=JSON, Content_Length=str(len(ADVANCE))) + ADVANCE
    assert await status(stand.server, request) == 200
    assert stand.sandbox.clock.now() == before + 5


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/sandbox/api/clock", "/sandbox/api/faults/1", "/bot{token}/getMe"])
async def test_a_browser_that_asks_first_gets_no_leave(stand: Stand, path: str) -> None:
    asked = head(
        "OPTIONS",
        path.format(token=stand.token),
        Origin="https://evil.example",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="content-type",
        Access_Control_Request_Private_Network="true",
    )
    answer = await exchange(stand.server, asked)
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"access-control" not in answer.lower()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "target",
    [
        "/botx/../sandbox/api/state",
        "/bot/../../sandbox/api/state",
        "/bot%2f..%2fsandbox/api/state",
        "/file/../sandbox/api/state",
        "//sandbox/api/state",
        "/%73andbox/api/state",
        "/sandbox%2fapi/state",
        "/SANDBOX/API/STATE",
        "/sandbox/api/./state",
        "http://127.0.0.1/sandbox/api/state",
        "http://evil.example/sandbox/api/state",
    ],
)
async def test_no_way_round_leads_past_the_guard(stand: Stand, target: str) -> None:
    answer = await exchange(stand.server, head("GET", target, Host="evil.example"))
    assert answer.split(b" ")[1] in (b"400", b"403", b"404")
    assert b"Alice" not in answer


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "target",
    [
        "/page/../rules.py",
        "/page/..%2frules.py",
        "/page/%2e%2e/rules.py",
        "/page/..\\rules.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/app.js/../../server.py",
        "/page/app.js%00.css",
        "/page/",
        "/page/.",
        "/page/index.html/",
        "/../../../../etc/passwd",
    ],
)
async def test_the_page_hands_out_its_own_files_alone(stand: Stand, target: str) -> None:
    answer = await exchange(stand.server, head("GET", target))
    assert answer.split(b" ")[1] in (b"400", b"404")
    assert b"root:" not in answer and b"GUESS" not in answer


@pytest_asyncio.fixture
async def public(sandbox: Sandbox) -> AsyncIterator[SandboxServer]:
    """A sandbox that other machines may reach."""
    async with SandboxServer(sandbox, host="0.0.0.0", allow_public=True, hosts=["Sandbox.Example"]) as server:
        yield server


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("192.168.1.5:8181", 200),
        ("sandbox", 200),
        ("office.local", 200),
        ("sandbox.example", 200),
        ("SANDBOX.example:8181", 200),
        ("evil.example", 403),
        ("sandbox.example.evil.example", 403),
        ("local.evil.example", 403),
        ("", 403),
    ],
)
async def test_a_public_sandbox_opens_under_private_names_and_those_it_was_told(
    public: SandboxServer, name: str, code: int
) -> None:
    assert await status(public, head("GET", STATE, Host=name)) == code
    own = head("GET", STATE, Host=name, Origin=f"http://{name}")
    assert await status(public, own) == code
    assert await status(public, head("GET", STATE, Host=name, Origin="null")) == 403
