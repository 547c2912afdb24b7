"""Where made-up results of benchmarks come from."""

ORIGIN = {
    "command": "jaxcl bench losses",
    "commit": "abc1234",
    "date": "2026-01-02T03:04:05+00:00",
    "versions": {"jax": "0.10.2", "torch": "–"},
    "device": {"platform": "cpu", "kind": "cpu", "count": 1},
    "machine": {"processor": "a processor", "cores": 2, "load": 0.1},
    "options": {"seed": 0},
}
