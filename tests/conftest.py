"""What all tests share: one thread each, float64, which of them are slow, and which are left out unless asked for."""

import os
import shlex
from pathlib import Path

import pytest

# Tests run side by side, one process per core: more threads each would wait for one another. Read when PyTorch starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where a test asks for more, those that wait sleep: to spin would take the core from the very thread that is waited for.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import exhaustive
from c_code.compiled_objects import remembering_compilers
from exhaustive import assert_each_file_has_quick_tests, quick_tests
from forked.python import PYTHON
from forked.workers import forking

TESTS = Path(__file__).parent
SLOW = (
    "analysis/figures/test_fewer_lines.py",
    "analysis/figures/test_figures.py",
    "analysis/figures/test_parts_and_patterns.py",
    "analysis/report/test_report_browser.py",
    "analysis/report/test_report_page.py",
    "analysis/stats/test_equal_quality.py",
    "analysis/tables/test_golden_tables.py",
    "analysis/test_compared_folders.py",
    "analysis/test_docs_tables.py",
    "analysis/test_make_tables_command.py",
    "analysis/test_summary_statistics.py",
    "analysis/test_wandb_pages.py",
    "benchmarks",
    "data/labelled/test_labelled_files.py",
    "data/text/test_pieces.py",
    "data/text/test_resume_in_mid_epoch.py",
    "doping/deployment/test_deploy.py",
    "doping/deployment/test_int8_arithmetic.py",
    "doping/deployment/test_to_c.py",
    "doping/deployment/test_to_onnx.py",
    "doping/inference/int8/test_emulated_instructions.py",
    "doping/inference/int8/test_int8_build.py",
    "doping/inference/int8/test_int8_kernels.py",
    "doping/inference/test_avx512.py",
    "doping/inference/test_bundles.py",
    "doping/inference/test_c_export.py",
    "doping/inference/test_c_int8.py",
    "doping/inference/test_c_linking.py",
    "doping/inference/test_classifier.py",
    "doping/inference/test_deployed_bytes.py",
    "doping/inference/test_kernel_build.py",
    "doping/inference/test_kernels.py",
    "doping/inference/test_low_rank_embeddings.py",
    "doping/inference/test_onnx_export.py",
    "doping/inference/test_runtime.py",
    "doping/layers/test_compile.py",
    "doping/layers/test_compressed_layers.py",
    "doping/matrices/test_families.py",
    "doping/matrices/test_matrix_sizes.py",
    "doping/test_annealer.py",
    "doping/test_package.py",
    "doping/test_sizes.py",
    "doping/test_vocabulary.py",
    "examples",
    "lightning_modules/test_annealing.py",
    "lightning_modules/test_co_adaptation.py",
    "lightning_modules/test_devices.py",
    "lightning_modules/test_distillation.py",
    "lightning_modules/test_language_model.py",
    "lightning_modules/test_scaled_gradients.py",
    "lightning_modules/test_translation.py",
    "sweeps/commands/test_dry_run.py",
    "sweeps/commands/test_export_and_run.py",
    "sweeps/commands/test_export_study.py",
    "sweeps/commands/test_measure.py",
    "sweeps/commands/test_mistakes.py",
    "sweeps/commands/test_recommended_lines.py",
    "sweeps/commands/test_status.py",
    "sweeps/engines",
    "sweeps/optuna_view",
    "sweeps/planning/test_latency_objective.py",
    "sweeps/planning/test_search.py",
    "sweeps/planning/test_tuning.py",
    "sweeps/results",
    "sweeps/running",
    "sweeps/study/test_study_files.py",
    "sweeps/test_damaged_checkpoints.py",
    "sweeps/test_fit.py",
    "sweeps/test_leaks.py",
    "sweeps/test_limits.py",
    "sweeps/test_own_script.py",
    "sweeps/test_row_versions.py",
    "sweeps/test_strangers_results.py",
    "sweeps/worker",
    "test_bad_inputs.py",
    "test_entry.py",
    "test_readers_that_leave.py",
)
"""Files and folders whose tests train, compile, or start processes: more than some two seconds of processor time each."""

LEFT_OUT = pytest.StashKey[int]()
"""How many exhaustive tests a session has left out."""


def pytest_addoption(parser):
    parser.addoption("--exhaustive", action="store_true", help="also run the tests and variants that are marked exhaustive")


def pytest_configure(config):
    exhaustive.ASKED_FOR = config.getoption("exhaustive")


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Two more than there are cores: some tests wait, for what runs in other processes or for time to pass."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return len(os.sched_getaffinity(0)) + 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config, specs):
    """What all processes of the session import is imported once."""
    for spec in specs:
        spec.python = shlex.join(PYTHON)


def pytest_collection_modifyitems(config, items):
    """Mark the slow tests and begin with them, and leave out the exhaustive ones unless they are asked for."""
    slow = [TESTS / name for name in SLOW]
    assert all(path.exists() for path in slow), "a test has moved: mend SLOW"
    slow_files = {path for path in {item.path for item in items} if any(path.is_relative_to(each) for each in slow)}
    for item in items:
        if item.path in slow_files:
            item.add_marker(pytest.mark.slow)
    # One process begins with those that wait for others; what is quick comes last, so that all end at the same time.
    waiting = TESTS / "sweeps"
    order = {path: (path not in slow_files, not path.is_relative_to(waiting)) for path in {item.path for item in items}}
    items.sort(key=lambda item: order[item.path])
    quick = quick_tests(items)
    if [Path(path).absolute() for path in config.args] == [TESTS]:
        assert_each_file_has_quick_tests(TESTS, items, quick)
    if not config.getoption("exhaustive"):
        config.stash[LEFT_OUT] = len(items) - len(quick)
        items[:] = quick


def pytest_sessionfinish(session):
    """A process beside others tells how many it left out; each of them leaves out the same."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out") or node.config.stash.get(LEFT_OUT, 0)


def pytest_terminal_summary(terminalreporter, config):
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"{left_out} exhaustive tests left out; --exhaustive runs them")


@pytest.fixture
def float64():
    """Compute in float64, from the same random numbers in every test."""
    import torch  # not by the process that only hands out tests

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True, scope="session")
def forked_workers():
    """Workers of runs that a test starts in its own process begin at once; commands that are processes have real ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.engines.local.worker_process", forking())
        yield


@pytest.fixture(autouse=True, scope="session")
def compilers(tmp_path_factory):
    """What one test has compiled no other compiles again, in this process or beside it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all processes of this session
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", remembering_compilers(folder / "compiled"), prepend=os.pathsep)
        yield
