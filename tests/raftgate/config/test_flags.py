import dataclasses

from raftgate.config.flags import FLAGS, TABLE, Support
from raftgate.config.gates import GATES
from raftgate.config.model import Config


def test_names_variables_and_keys_are_each_used_once() -> None:
    rows = [flag for section in TABLE.values() for flag in section]
    assert len(rows) == len(FLAGS)
    variables = [flag.variable for flag in rows if flag.variable]
    keys = [key for flag in rows for key in flag.keys]
    assert len(variables) == len(set(variables))
    assert len(keys) == len(set(keys))


def test_variables_and_keys_follow_from_the_name() -> None:
    assert FLAGS["heartbeat-interval"].variable == "ETCD_HEARTBEAT_INTERVAL"
    assert FLAGS["raftgate-health-timeout"].variable == "RAFTGATE_HEALTH_TIMEOUT"
    assert FLAGS["raftgate-health-timeout"].keys == ("raftgate.health-timeout",)
    assert FLAGS["client-cert-auth"].keys == ("client-transport-security.client-cert-auth",)
    assert FLAGS["config-file"].keys == ()
    assert FLAGS["help"].variable == ""


def test_every_default_is_a_value_of_its_kind() -> None:
    for flag in FLAGS.values():
        flag.default_value()
        assert flag.help


def test_old_spellings_lead_to_a_flag_or_a_gate() -> None:
    old = [flag for flag in FLAGS.values() if flag.support is Support.OLD]
    assert len(old) == 24
    for flag in old:
        assert flag.replaced_by in FLAGS.keys() | GATES.keys()


def test_every_field_of_the_configuration_is_a_flag() -> None:
    names = {field.name.replace("_", "-") for field in dataclasses.fields(Config)}
    assert names - FLAGS.keys() == {"log-rotation", "notes"}
