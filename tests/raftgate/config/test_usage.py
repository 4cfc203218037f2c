import raftgate
from raftgate.config.usage import USAGE, help_text, version_text
from raftgate.version import SERVER_VERSION


def test_the_version_block_starts_as_etcds() -> None:
    lines = version_text().splitlines()
    assert lines[0] == f"etcd Version: {SERVER_VERSION}"
    assert lines[1] == f"raftgate Version: {raftgate.__version__}"
    assert all(": " in line for line in lines)


def test_help_starts_with_the_usage_and_has_sections() -> None:
    assert help_text().startswith(USAGE)
    assert "\nMember:\n  --name 'default'\n" in help_text()
