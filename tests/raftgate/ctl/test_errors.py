from raftgate.ctl.errors import CommandError, ConflictError, ExitCode, SilentError, UsageError


def test_exit_codes_are_those_of_etcdctl() -> None:
    codes = {code.name: int(code) for code in ExitCode}
    assert codes == {
        "SUCCESS": 0,
        "ERROR": 1,
        "BAD_CONNECTION": 2,
        "INVALID_INPUT": 3,
        "BAD_FEATURE": 4,
        "INTERRUPTED": 5,
        "BAD_ARGS": 128,
    }


def test_an_error_without_a_code_of_its_own_exits_with_one() -> None:
    assert CommandError("text").code == ExitCode.ERROR
    assert UsageError("text", "hint").code == ExitCode.ERROR
    assert ConflictError("line").code == ExitCode.ERROR
    assert SilentError().code == ExitCode.ERROR


def test_an_error_prints_as_its_text() -> None:
    assert str(CommandError("no such thing", ExitCode.BAD_ARGS)) == "no such thing"
