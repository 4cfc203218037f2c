import asyncio
import os
import shutil
import signal
import sys
import time
from typing import Any

import pytest

from raftgate.listener import Listener, Signals, serve, signals_handled
from tests.fakes.gateway import Gateway
from tests.fakes.loopback import DEADLINE, connected, free_socket, listening, rpc


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"], scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:  # Any: the plugin's form
    return "asyncio", {"use_uvloop": request.param}


@pytest.mark.anyio
async def test_answers_carry_a_date_and_no_server() -> None:
    async with listening(Gateway().app) as (_, port), connected(port) as client:
        await client.send(rpc())
        answer = await client.answer()
        assert answer.headers["date"].endswith(" GMT")
        assert "server" not in answer.headers


@pytest.mark.anyio
async def test_several_listeners_and_several_sockets_in_one_process() -> None:
    sockets = [free_socket() for _ in range(3)]
    ports = [sock.getsockname()[1] for sock in sockets]
    stop = asyncio.Event()
    listeners = [Listener(Gateway().app, sockets[:2]), Listener(Gateway(metrics_only=True).app, sockets[2:])]
    serving = asyncio.create_task(serve(listeners, stop))
    statuses = []
    for port in ports:
        async with connected(port) as client:
            await client.send(rpc())
            statuses.append((await client.answer()).status)
    assert statuses == [200, 200, 404]
    stop.set()
    await asyncio.wait_for(serving, DEADLINE)
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.anyio
async def test_a_stop_closes_idle_connections_and_lets_running_requests_finish() -> None:
    gateway = Gateway()
    async with listening(gateway.app) as (listener, port), connected(port) as idle, connected(port) as busy:
        await idle.send(rpc())
        await idle.answer()
        gateway.backend.gate = asyncio.Event()
        await busy.send(rpc())
        await gateway.backend.waiting.wait()
        stopping = asyncio.create_task(listener.stop(DEADLINE))
        assert await idle.rest() == b""
        assert not stopping.done()
        gateway.backend.gate.set()
        answer = await busy.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await busy.rest() == b""
        await asyncio.wait_for(stopping, DEADLINE)


@pytest.mark.anyio
async def test_a_stop_cuts_what_does_not_finish_in_time() -> None:
    gateway = Gateway()
    gateway.backend.gate = asyncio.Event()
    async with listening(gateway.app) as (listener, port), connected(port) as client:
        await client.send(rpc())
        await gateway.backend.waiting.wait()
        await asyncio.wait_for(listener.stop(0.05), DEADLINE)
        assert gateway.backend.canceled.is_set()
        assert await client.rest() in (b"", b"reset")
        assert not listener._state.tasks


@pytest.mark.anyio
async def test_a_body_that_is_on_its_way_at_a_stop_is_still_taken() -> None:
    async with listening(Gateway().app) as (listener, port), connected(port) as client:
        await client.send(rpc(b"{ }")[:-1])
        async with asyncio.timeout(DEADLINE):
            while not listener._state.tasks:  # noqa: ASYNC110 - uvicorn's set tells nobody
                await asyncio.sleep(0)
        stopping = asyncio.create_task(listener.stop(DEADLINE))
        await asyncio.sleep(0)
        await client.send(b"}")
        assert (await client.answer()).status == 200
        await asyncio.wait_for(stopping, DEADLINE)


@pytest.mark.anyio
async def test_a_listener_that_cannot_start_ends_the_others() -> None:
    first, second = free_socket(), free_socket()
    port = first.getsockname()[1]
    second.close()
    with pytest.raises((OSError, ValueError)):
        await serve([Listener(Gateway().app, [first]), Listener(Gateway().app, [second])], asyncio.Event())
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.anyio
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_for_a_stop(number: signal.Signals) -> None:
    stop = asyncio.Event()
    with signals_handled(stop) as signals:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), DEADLINE)
        assert signals.received is number


def test_no_signal_yet() -> None:
    assert Signals(asyncio.Event()).received is None


STUBBORN = """
import asyncio
from raftgate.listener import signals_handled
async def main():
    stop = asyncio.Event()
    with signals_handled(stop):
        print("ready", flush=True)
        await stop.wait()
        print("stopping", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.anyio
async def test_the_second_signal_exits_at_once_with_1() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", STUBBORN, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    for line in (b"ready\n", b"stopping\n"):
        assert await asyncio.wait_for(process.stdout.readline(), DEADLINE) == line
        process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), DEADLINE) == 1


@pytest.mark.peer
@pytest.mark.anyio
@pytest.mark.parametrize("command", [["get", "foo"], ["put", "foo", "bar"], ["endpoint", "health"], ["member", "list"]])
async def test_stock_etcdctl_fails_soon_and_says_what_to_use(command: list[str]) -> None:
    etcdctl = shutil.which("etcdctl")
    if etcdctl is None:
        pytest.skip("etcdctl is not installed")
    async with listening(Gateway().app) as (_, port):
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            etcdctl, "--endpoints", f"127.0.0.1:{port}", *command,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert time.perf_counter() - began < 2.0
    assert process.returncode != 0
    assert b"use raftgatectl instead of etcdctl" in output
