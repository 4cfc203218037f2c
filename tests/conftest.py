"""What all tests share."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write what scenarios print now into their files")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
