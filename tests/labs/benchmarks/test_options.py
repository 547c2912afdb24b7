import pytest

from jaxcl.config import ConfigError, from_dict
from jaxcl.labs.benchmarks import (
    AotBenchmark,
    DataBenchmark,
    LossesBenchmark,
    Measurement,
    TrainBenchmark,
)


@pytest.mark.parametrize(
    "kind", [LossesBenchmark, DataBenchmark, TrainBenchmark, AotBenchmark]
)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threads": (2, 0)}, r"`threads` must be at least 1, got \(2, 0\)"),
        ({"rounds": 0}, "`rounds` must be at least 1, got 0"),
        ({"seconds": 0.0}, "`seconds` must be positive, got 0.0"),
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
    ],
)
def test_shared_options_are_checked(kind, fields, message):
    with pytest.raises(ConfigError, match=message):
        kind(**fields).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (LossesBenchmark(rows=(63,)), "`rows` must be even"),
        (LossesBenchmark(rows=()), "`rows` must be positive"),
        (LossesBenchmark(dim=(0,)), "`dim` must be positive"),
        (LossesBenchmark(temperature=0.0), "`temperature` must be positive"),
        (LossesBenchmark(losses=()), "`losses` must name"),
        (DataBenchmark(sizes=(4,)), "`sizes` must be at least 8"),
        (DataBenchmark(sizes=()), "`sizes` must be at least 8"),
        (DataBenchmark(paths=()), "`paths` must name"),
        (DataBenchmark(data=("pacs@small",)), "`data` must name pixels after an @"),
        (TrainBenchmark(steps=0), "`steps` must be 1 to 10"),
        (TrainBenchmark(steps=15), "`steps` must be 1 to 10, or a multiple of 10"),
        (TrainBenchmark(devices=-1), "`devices` must be at least 0"),
        (TrainBenchmark(image_size=4), "`image_size` must be at least 8"),
        (TrainBenchmark(batch_size=(1,)), "`data.batch_size` must be at least 2"),
        (
            AotBenchmark(chips=(3,)),
            r"`chips` must be among \[1, 4, 16, 64, 256\] of v5e",
        ),
        (AotBenchmark(generation=("h100",), chips=(4,)), "of h100, got 4"),
        (
            AotBenchmark(rows=(1024, 640)),
            "`rows` must be two equal views on each of 256",
        ),
        (AotBenchmark(rows=()), "`rows` must name at least one"),
        (AotBenchmark(losses=()), "`losses` or `steps` must name"),
        (AotBenchmark(patience=0.0), "`patience` must be positive"),
        (AotBenchmark(steps=("vit_s",), batch_size=100), "divisible by 256 chips"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        options.check()


def test_quick_is_small_unless_it_is_told_what_to_measure():
    assert LossesBenchmark(quick=True).resolve().rows == (256, 1024)
    assert LossesBenchmark(quick=True, rows=(64,)).resolve().rows == (64,)
    assert not LossesBenchmark(quick=True).resolve().memory
    quick = DataBenchmark(quick=True).resolve()
    assert (quick.sizes, quick.data) == ((32,), ("colored_digits",))
    assert "torchvision" not in quick.paths
    named = DataBenchmark(quick=True, sizes=(64,), data=("cifar10",)).resolve()
    assert (named.sizes, named.data) == ((64,), ("cifar10",))
    for options in (
        LossesBenchmark(),
        DataBenchmark(),
        TrainBenchmark(),
        AotBenchmark(),
    ):
        assert options.resolve() == options


def test_memory_is_measured_in_a_process_of_its_own():
    options = LossesBenchmark(rows=(64, 128), losses=("nt_xent",), peers=False)
    jobs = list(options.plan("cpu"))
    assert [job.row.what for job in jobs] == 2 * ["losses"] + 4 * ["memory"]
    memory = [(job.row.contender, job.row.size) for job in jobs[2:]]
    assert memory == [(n, s) for s in (64, 128) for n in ("jaxcl", "dense jnp")]


def test_the_batch_is_doubled_until_a_call_does_not_fit():
    options = LossesBenchmark(rows=(64,), memory=False, largest=True)
    _, ours, _ = options.plan("cpu")
    fits = ours.row.of("seconds", 1.0, "s")
    assert ours.then([fits]).row.size == 128
    assert ours.then([ours.row.of("seconds", 200.0, "s")]) is None
    assert ours.then([ours.row]) is None


def test_torchvision_never_shares_a_process_with_tensorflow():
    options = DataBenchmark(sizes=(32, 64), data=("cifar10", "jpeg"), threads=(1, 2))
    jobs = list(options.plan("cpu"))
    for job in jobs:
        (paths,) = job.more
        assert paths in (("jax", "tf_data"), ("torchvision",))
        assert job.row.required == (paths != ("torchvision",))
    # Two sizes of views, one stored data set, two sizes of pictures.
    assert len(jobs) == 2 * 2 * (2 + 1 + 2)
    pictures = [j.row.size for j in jobs if j.row.setting["source"] == "jpeg"]
    assert sorted(pictures) == 4 * [32] + 4 * [64]


def test_every_combination_of_a_training_run_is_a_case():
    options = TrainBenchmark(
        encoder=("resnet18", "convnet"), batch_size=(32, 64), steps_per_dispatch=(1, 4)
    )
    configs = [from_dict(case.config) for case in options.cases()]
    found = {
        (one.model.encoder, one.data.batch_size, one.steps_per_dispatch)
        for one in configs
    }
    assert len(configs) == len(found) == 8
    assert {case.made for case in options.cases()} == {32}


def test_a_config_keeps_its_data_and_what_was_not_named(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('[data]\nname = "cifar10"\nbatch_size = 24\n[model]\nwidth = 8\n')
    (case,) = TrainBenchmark(config=file, dtype=("bfloat16",), quick=True).cases()
    config = from_dict(case.config)
    assert case.made == 0
    assert (config.data.name, config.data.batch_size) == ("cifar10", 24)
    assert (config.model.width, config.model.dtype) == (8, "bfloat16")
    with pytest.raises(ConfigError, match="a config has its own"):
        TrainBenchmark(config=file, image_size=32).check()


@pytest.mark.parametrize(
    ("installed", "fields", "status", "reason"),
    [
        (None, {}, "not installed", "pip install 'jaxcl[bench]'"),
        ((), {"encoder": ("convnet",)}, "skipped", "encoder is ResNet-18 or -34"),
        ((), {"dtype": ("bfloat16",)}, "skipped", "type is float32"),
        ((), {"devices": 2}, "skipped", "device is one"),
        (
            (),
            {"steps_per_dispatch": (2,)},
            "skipped",
            "steps are dispatched one by one",
        ),
    ],
)
def test_a_peer_that_is_missing_or_made_for_other_runs_is_named(
    monkeypatch, installed, fields, status, reason
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: installed)
    step, *rows = TrainBenchmark(**fields).plan("cpu")
    assert step.row.what == "step"
    names = [row.contender for row in rows]
    assert names == ["torch + lightly", "torch + lightly, channels last"]
    for row in rows:
        assert isinstance(row, Measurement)
        assert row.status == status
        assert row.reason.endswith(reason)
        assert not row.required


def test_the_usual_run_is_compared_with_its_peer(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: ())
    step, peers = TrainBenchmark(threads=(1,)).plan("cpu")
    threads = [job.row.setting["threads"] for job in (step, peers)]
    assert threads == [1, 1]
    assert peers.function.endswith(":time_peers")


def test_every_program_is_compiled_in_a_process_that_knows_no_accelerator():
    options = AotBenchmark(
        losses=("nt_xent", "negative_variance"),
        steps=("resnet50",),
        generation=("v5e", "v6e"),
        chips=(1, 16),
    )
    jobs = list(options.plan("cpu"))
    found = [(j.row.contender, j.row.size, *j.row.setting.values()) for j in jobs]
    assert len(set(found)) == len(found)
    of_v5e = [one for one in found if one[2] == "v5e"]
    # Moments of rows have no pairs that a ring could pass around.
    ways = {(one[0], one[3], one[4]) for one in of_v5e if one[1] == 65_536}
    assert ways == {
        ("nt_xent", 1, "none"),
        ("nt_xent", 16, "gather"),
        ("nt_xent", 16, "ring"),
        ("negative_variance", 1, "none"),
        ("negative_variance", 16, "gather"),
    }
    assert [one for one in of_v5e if one[1] == 4096] == [
        ("resnet50", 4096, "v5e", 16, 224, "bfloat16")
    ]
    assert {job.environment["JAX_PLATFORMS"] for job in jobs} == {"cpu"}
    assert {job.patience for job in jobs} == {3600.0}


def test_a_quick_estimate_is_one_loss_unless_it_is_told_what_to_compile():
    jobs = list(AotBenchmark(quick=True).resolve().plan("cpu"))
    assert [(j.row.contender, j.row.size) for j in jobs] == 2 * [("nt_xent", 16_384)]
    named = AotBenchmark(quick=True, losses=("supcon",), chips=(1,)).resolve()
    assert [job.row.contender for job in named.plan("cpu")] == ["supcon"]


@pytest.mark.parametrize(
    ("generation", "reason"),
    [("v5e", "pip install 'jaxcl[aot]'"), ("h100", "pip install 'jax[cuda12]'")],
)
def test_a_compiler_that_is_missing_is_named(monkeypatch, generation, reason):
    from jaxcl.labs.benchmarks._aot._jobs import estimate_loss

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (row,) = AotBenchmark(
        losses=("nt_xent",), generation=(generation,), chips=(1,), dtype=("float32",)
    ).loss_rows()
    (found,) = estimate_loss(row, None)
    assert (found.status, found.reason) == ("not installed", reason)
