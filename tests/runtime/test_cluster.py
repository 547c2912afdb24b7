"""Addresses that no process can join are refused by name."""

import socket

import pytest

from jaxcl.config import ConfigError, DistributedConfig
from jaxcl.runtime import join_cluster


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"coordinator": "host:1"},
            "`distributed.num_processes` must be given together with `coordinator`",
        ),
        (
            {"num_processes": 2, "process_id": 0},
            "`distributed.coordinator` must be given together with `num_processes` "
            "and `process_id`; or leave all three out",
        ),
        (
            {"coordinator": "host", "num_processes": 2, "process_id": 0},
            "`distributed.coordinator` must be host:port of process 0, got 'host'",
        ),
        (
            {"coordinator": "host:70000", "num_processes": 2, "process_id": 0},
            "`distributed.coordinator` must be host:port of process 0, got",
        ),
        (
            {"coordinator": "host:1", "num_processes": 2, "process_id": 2},
            "`distributed.process_id` must be below num_processes = 2, got 2",
        ),
    ],
)
def test_an_address_that_cannot_be_joined_is_refused(fields, message):
    with pytest.raises(ConfigError) as raised:
        join_cluster(DistributedConfig(enabled=True, **fields))
    assert message in str(raised.value)


def test_a_port_in_use_is_refused():
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        config = DistributedConfig(True, f"localhost:{port}", 2, 0)
        with pytest.raises(ConfigError, match=f"must name a free port .* got {port}"):
            join_cluster(config)


def test_a_run_of_one_process_joins_nobody():
    join_cluster(DistributedConfig(coordinator="nowhere"))
