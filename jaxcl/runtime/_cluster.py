"""Connects the processes of a run."""

import inspect
import socket
import threading
from typing import Any

import jax

from jaxcl.config import ConfigError, DistributedConfig


def join_cluster(config: DistributedConfig, *, patience: int = 300) -> None:
    """Joins the other processes of a run.

    Does nothing if the config does not enable it, or if this process has already
    joined. Call it before the first use of a device.

    Args:
        config: The address of process 0 and the number of processes. If not given, JAX
            detects TPU pods, SLURM and Open MPI.
        patience: Seconds to wait for the other processes.

    Raises:
        ConfigError: The other processes cannot be joined; the message says what to do.
    """
    if not config.enabled or jax.distributed.is_initialized():
        return
    _check_address(config)
    failures: list[Exception] = []

    def initialize():
        try:
            jax.distributed.initialize(**_arguments(config, patience))
        except Exception as error:  # cluster detection can raise any type
            failures.append(error)

    # JAX calls abort() when it times out, so the wait here ends before that.
    thread = threading.Thread(target=initialize, daemon=True)
    thread.start()
    thread.join(patience)
    if failures:
        raise ConfigError(
            f"`distributed.enabled` found no cluster to join: {failures[0]} (TPU pods, "
            "SLURM and Open MPI are detected; elsewhere give every process "
            "`distributed.coordinator`, `num_processes` and `process_id`)"
        ) from failures[0]
    if thread.is_alive():
        raise ConfigError(_explain_absence(config, patience))


def _check_address(config: DistributedConfig) -> None:
    """Rejects addresses on which JAX would hang, crash or raise an IndexError."""
    given = {
        "coordinator": bool(config.coordinator),
        "num_processes": config.num_processes > 0,
        "process_id": config.process_id >= 0,
    }
    if not any(given.values()):
        return
    for name in given:
        if not given[name]:
            raise ConfigError(
                f"`distributed.{name}` must be given together with "
                + " and ".join(f"`{other}`" for other in given if given[other])
                + "; or leave all three out if JAX can detect the cluster"
            )
    host, _, port = config.coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ConfigError(
            "`distributed.coordinator` must be host:port of process 0, "
            f"got {config.coordinator!r}"
        )
    if config.process_id >= config.num_processes:
        raise ConfigError(
            f"`distributed.process_id` must be below num_processes = "
            f"{config.num_processes}, got {config.process_id}"
        )
    if config.process_id == 0:
        _check_port_is_free(int(port))


def _check_port_is_free(port: int) -> None:
    with socket.socket() as probe:
        # JAX can reuse the port of a process that has just ended; allow it here too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise ConfigError(
                f"`distributed.coordinator` must name a free port of process 0, got "
                f"{port}: {error.strerror}"
            ) from error


def _arguments(config: DistributedConfig, patience: int) -> dict[str, Any]:
    """Those arguments of `jax.distributed.initialize` that this JAX accepts."""
    arguments: dict[str, Any] = {
        "initialization_timeout": patience + 60,
        # JAX's own heartbeat is the fallback where `watch_hosts` is not active.
        "heartbeat_timeout_seconds": 2 * config.timeout + 30,
    }
    if config.coordinator:
        arguments |= {
            "coordinator_address": config.coordinator,
            "num_processes": config.num_processes,
            "process_id": config.process_id,
            # Under SLURM, detection would hide all but one GPU from each process.
            "cluster_detection_method": "deactivate",
        }
    known = inspect.signature(jax.distributed.initialize).parameters
    return {name: value for name, value in arguments.items() if name in known}


def _explain_absence(config: DistributedConfig, patience: int) -> str:
    if config.process_id > 0:
        host, _, port = config.coordinator.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), 3).close()
        except OSError as error:
            return (
                f"`distributed.coordinator` must be the address of process 0, which "
                f"has not answered at {config.coordinator!r} for {patience} s: {error};"
                " start it, and open its port to this host"
            )
    return (
        f"`distributed`: not all processes joined within {patience} s; start all of "
        "them, with the same `coordinator` and `num_processes`, and each with its own "
        "`process_id`"
    )
