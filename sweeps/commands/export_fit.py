"""What a study that fits a model into a size ends with: the exported file, and one line."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean

from sweeps.planning.due_trials import DueTrials
from sweeps.planning.plan import StudyPlan
from sweeps.results.files import shown
from sweeps.results.folder import ResultsFolder
from sweeps.results.rows import Row
from sweeps.trials.trial import Trial


def export_fit(plan: StudyPlan, folder: ResultsFolder) -> str:
    """Export the best setting's best seed next to the results; one line on what it is, and where, or why not."""
    from doping.errors import InferenceError
    from doping.inference.bundle import file
    from sweeps.results.bundles import trial_bundle

    due = DueTrials(plan, ResultsFolder(folder.path))
    rows = due.rows()
    together = {cell.name for cell in plan.cells if cell.together}
    settings: dict[str, list[Row]] = defaultdict(list)
    for job in due.jobs.values():
        row = rows.get(job.trial.id)
        fits = plan.latency is None or (row and row.latency_us is not None and row.latency_us <= plan.latency)
        if job.stage == "final" and job.cell.partition(", ")[0] in together and row and row.status == "finished" and fits:
            settings[job.trial.method.model_dump_json() + job.trial.task.model_dump_json()].append(row)
    if not settings:
        return f"{plan.study}: no model that fits came to its end; nothing is exported"
    best = min(settings.values(), key=lambda found: fmean(row.validation or 0.0 for row in found))
    chosen = min(best, key=lambda row: row.validation or 0.0)
    trial = Trial.model_validate_json(chosen.settings)
    mean = fmean(row.validation or 0.0 for row in best)
    size = f"{(chosen.deployed_bytes or 0) / 1000:.4g} kB of LSTM, {(chosen.model_bytes or 0) / 1000:.4g} kB of model"
    speed = "" if chosen.latency_us is None else f", {chosen.latency_us:g} µs a step"
    said = f"best fit: {trial.method.label} {trial.method.budget}: {chosen.metric} {mean:.4g} on validation "
    said += f"over {len(best)} seeds, {size}{speed}"
    path = folder.path / f"{plan.study}.lstm"
    try:
        file.write(trial_bundle(folder.of(chosen.trial_id)), path)
    except InferenceError as error:
        return f"{said}; not exported: {error}"
    return f"{said}; exported to {shown(path)} ({path.stat().st_size:,} bytes)"
