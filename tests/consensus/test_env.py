"""The Protocols of env.py: who is meant to fulfil them does, by type."""

from consensus.disk import OsDisk, OsFile
from consensus.env import Disk, Env, File, Lane
from tests.fakes.disk import FakeDisk, FakeFile
from tests.fakes.env import FakeEnv


def test_the_lanes_have_names() -> None:
    assert [str(lane) for lane in Lane] == ["log", "database", "readers"]


def test_disks_and_envs_fit() -> None:
    """What counts here is mypy's answer; that nothing is missing at run time either is cheap to see."""
    disks: list[type[Disk]] = [OsDisk, FakeDisk]
    files: list[type[File]] = [OsFile, FakeFile]
    envs: list[type[Env]] = [FakeEnv]
    for protocol, classes in ((Disk, disks), (File, files)):
        names = [name for name in vars(protocol) if not name.startswith("_")]
        assert all(callable(getattr(cls, name)) for cls in classes for name in names)
    assert isinstance(envs[0]().disk, OsDisk)
