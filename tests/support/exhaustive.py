"""Tests of many variants, of which a run has some and ``--exhaustive`` has all.

``@pytest.mark.exhaustive`` marks a test that is left out; ``exhaustive(keep=["gcc", "clang"])`` leaves the variants of these
names, ``exhaustive(keep_every=5)`` the first of each five. What they show is shown, in part or in less, by what is left.
"""

ASKED_FOR = False
"""Whether a session runs them; set before test files are imported."""

WHOLLY_EXHAUSTIVE = {
    "benchmarks/test_compress_step.py": "benchmarks/test_step_time.py",
    "benchmarks/test_sweep_scaling.py": "benchmarks/test_sweep_scale.py",
    "doping/inference/int8/test_int8_build.py": "doping/inference/test_c_int8.py",
    "doping/inference/test_avx512.py": "doping/inference/test_kernels.py",
    "sweeps/commands/test_recommended_lines.py": "analysis/test_make_tables_command.py",
    "sweeps/test_leaks.py": "sweeps/worker/test_wandb.py",
    "sweeps/worker/test_wandb_leet.py": "sweeps/worker/test_wandb.py",
}
"""Files with exhaustive tests only, and where else what they use is tested."""


def quick_tests(items):
    """Those that are not exhaustive, in order."""
    functions = {}
    for item in items:
        functions.setdefault((item.path, getattr(item, "originalname", item.name)), []).append(item)
    left_out = set()
    for variants in functions.values():
        if mark := variants[0].get_closest_marker("exhaustive"):
            left_out |= {*variants} - {*kept(variants, **mark.kwargs)}
    return [item for item in items if item not in left_out]


def kept(variants, keep=(), keep_every=0):
    """Of the variants of an exhaustive test, those that stay: by their names, or the first of so many each."""
    if keep_every:
        return variants[::keep_every]
    found = [item for item in variants if keep and item.callspec.id in keep]
    all_of_them = not any("::" in path for path in variants[0].config.args)
    assert len(found) == len(keep) or not all_of_them, f"{variants[0].nodeid}: not all of {keep} are there"
    return found


def assert_each_file_has_quick_tests(folder, items, quick):
    """Whoever marks the last test of a file has to say where else its subject is tested."""
    alone = {item.path for item in items} - {item.path for item in quick}
    found = {str(path.relative_to(folder)) for path in alone}
    assert found == WHOLLY_EXHAUSTIVE.keys(), f"mend WHOLLY_EXHAUSTIVE: {found}"
