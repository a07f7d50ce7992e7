"""Real redis-servers for tests: each in a directory of its own, on a free port or a unix socket.

::

    with RedisServer() as server:
        client = Redis.from_url(server.url)
        ...
        server.kill()
        server.start()    # same address, same data

    with RedisCluster() as cluster:
        client = AsyncRedisCluster(host="127.0.0.1", port=cluster.ports[0])
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from redis import Redis
from redis.exceptions import RedisError

__all__ = ["ALL", "RedisCluster", "RedisServer", "has_redis"]

HOST = "127.0.0.1"
ALL = os.environ.get("NEONPAY_TESTS") == "all"
"""Whether a test that lacks something fails."""
PATIENCE = 15.0
"""Seconds for which a server may take to start, to stop or to find its cluster."""
SLOTS = 16384
_BUS = 10_000
"""A cluster node talks to the others on its port plus this."""


def has_redis() -> bool:
    """Whether there is a redis-server to start, or there must be: ``NEONPAY_TESTS=all`` fails where others skip."""
    return ALL or shutil.which("redis-server") is not None


class RedisServer:
    """One redis-server. What it holds outlives :meth:`stop` and :meth:`kill`, until :meth:`close`.

    :param unix_socket: listen on a unix socket instead of a port.
    :param settings: further lines of its configuration.
    """

    def __init__(self, *, unix_socket: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._directory = TemporaryDirectory(prefix="redis-")
        self._unix_socket = unix_socket
        self._settings = {"appendonly": "yes", "save": "", **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def directory(self) -> Path:
        """Where it keeps its files."""
        return Path(self._directory.name)

    @property
    def url(self) -> str:
        """Its address, the same after every start."""
        return f"unix://{self._socket}" if self._unix_socket else f"redis://{HOST}:{self.port}/0"

    @property
    def _socket(self) -> Path:
        return self.directory / "redis.sock"

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def client(self) -> Redis:
        """Return a blocking client, for the test itself."""
        return Redis.from_url(self.url, decode_responses=True)

    def start(self) -> None:
        """Start it and wait until it answers; after the first time on the same port."""
        if self.is_running:
            return
        attempts = 1 if self.port or self._unix_socket else 5
        for left in reversed(range(attempts)):
            if not self._unix_socket and attempts > 1:
                self.port = free_port()
            try:
                self._launch()
                return
            except RuntimeError:
                # Another program may have taken the port meanwhile.
                if not left:
                    raise

    def _launch(self) -> None:
        listen = {"port": "0", "unixsocket": str(self._socket)} if self._unix_socket else {"port": str(self.port)}
        settings = {"bind": HOST, "dir": str(self.directory), "daemonize": "no", **listen, **self._settings}
        lines = [f'{name} "{value}"' for name, value in settings.items()]
        log = self.directory / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=output, stderr=output)
        self._process = process
        assert process.stdin is not None
        process.stdin.write("\n".join(lines).encode())
        process.stdin.close()
        wait_until(lambda: process.poll() is not None or self._answers(), "redis-server did not answer")
        if process.poll() is not None:
            self._reap()
            raise RuntimeError(f"redis-server did not start:\n{log.read_text(errors='replace')[-2000:]}")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (RedisError, OSError):
            return False

    def stop(self) -> None:
        """End it as an administrator would: it writes what it holds and leaves."""
        if self._process is not None:
            self._process.terminate()
            self._reap()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def _reap(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End it and remove its files."""
        self.kill()
        self._directory.cleanup()

    def __enter__(self) -> RedisServer:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class RedisCluster:
    """A cluster of masters that share the hash slots evenly."""

    def __init__(self, nodes: int = 3) -> None:
        self.nodes = [
            RedisServer(settings={"cluster-enabled": "yes", "cluster-node-timeout": "5000", "appendonly": "no"})
            for _ in range(nodes)
        ]

    @property
    def ports(self) -> list[int]:
        """Ports of the nodes."""
        return [node.port for node in self.nodes]

    def start(self) -> None:
        """Start the nodes, introduce them to each other and wait until all slots are served."""
        for node in self.nodes:
            node.start()
        clients = [node.client() for node in self.nodes]
        try:
            for number, client in enumerate(clients):
                first, end = (SLOTS * place // len(clients) for place in (number, number + 1))
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                client.execute_command("CLUSTER ADDSLOTS", *range(first, end))
                for port in self.ports[:number]:
                    client.execute_command("CLUSTER MEET", HOST, port)
            wait_until(lambda: all(map(self._is_whole, clients)), "the nodes did not become a cluster")
        finally:
            for client in clients:
                client.close()

    def _is_whole(self, client: Redis) -> bool:
        info: dict[str, str] = client.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == len(self.nodes)

    def close(self) -> None:
        """End all nodes and remove their files."""
        for node in self.nodes:
            node.close()

    def __enter__(self) -> RedisCluster:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def free_port() -> int:
    """Return a port that is free, with the port of its cluster bus."""
    while True:
        with socket.socket() as asked, socket.socket() as bus:
            asked.bind((HOST, 0))
            port: int = asked.getsockname()[1]
            try:
                bus.bind((HOST, port + _BUS))
            except (OSError, OverflowError):
                continue
            return port


def wait_until(condition: Callable[[], bool], failure: str) -> None:
    """Ask until a condition holds.

    :raises TimeoutError: when it does not within :data:`PATIENCE`.
    """
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(failure)
        time.sleep(0.005)
