import signal

import pytest

from raftgate.ctl.interruption import Interrupted, interruptible, uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_block(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted), interruptible():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_pass_by(number: signal.Signals) -> None:
    with interruptible():
        inner = signal.getsignal(number)
        with uninterrupted():
            signal.raise_signal(number)
        assert signal.getsignal(number) is inner
