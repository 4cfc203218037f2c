"""What all tests share."""

import signal

import pytest


def pytest_configure() -> None:
    # A shell starts a job in the background with SIGINT ignored, and whatever that starts would ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write what scenarios print now into their files")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
