"""A workspace and a report for Weights & Biases as code: methods compared, degradation curves, Pareto front, importance.

What runs log, and under which keys, is said in docs/monitoring.md.
"""

from __future__ import annotations

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

Panels = list[wr.LinePlot | wr.ScatterPlot | wr.BarPlot | wr.ParallelCoordinatesPlot | wr.ParameterImportancePlot]

SPARSITY = "Sparsity of S"
METHOD, ANNEAL_RATE = wr.Config("label"), wr.Config("anneal_rate")

HOW_TO_READ = """\
Each line is a method, or an anneal rate, with the mean and the range of its runs. While S is thinned out, a rising
validation in the last stretch is co-matrix adaptation: M has leaned on values of S that are gone. The share of S in the
pre-activation energy says who carries the model, the cross term whether the parts pull together (above 0) or against each
other (below 0), and the validation with a part off what the other one is worth alone."""


def sections() -> dict[str, Panels]:
    """The panels, by the title of their section."""
    return {
        "Methods compared": [
            wr.BarPlot(title="Validation at the end", metrics=["validation"], groupby=METHOD, groupby_rangefunc="minmax"),
            wr.BarPlot(title="Test", metrics=["test"], groupby=METHOD, groupby_rangefunc="minmax"),
            _curve("Validation while training", "validation", METHOD, x="Step", title_x="Optimizer step"),
        ],
        "Degradation curves by anneal rate": [
            _curve("Validation, by anneal rate", "by_sparsity/validation", ANNEAL_RATE),
            _curve("Validation, by method", "by_sparsity/validation", METHOD),
        ],
        "Co-matrix adaptation": [
            _curve("Share of S in the pre-activation energy", "by_sparsity/energy_sparse", METHOD),
            _curve("Cross term of the energy", "parts/energy_cross", METHOD),
            _curve("Row dropout in force", "parts/cmr_probability", METHOD),
            _curve("Quality with both parts, on the monitored batch", "parts/validation_slice", METHOD),
            _curve("Quality of M alone", "by_sparsity/structured_alone", METHOD),
            _curve("Quality of S alone", "by_sparsity/sparse_alone", METHOD),
            _curve("Gradient of M", "parts/gradient_structured", METHOD, log_y=True),
            _curve("Gradient of S", "parts/gradient_sparse", METHOD, log_y=True),
        ],
        # The running minimum along the size is the Pareto front.
        "Quality against size": [
            wr.ScatterPlot(
                title=title,
                x=wr.SummaryMetric(size),
                y=wr.SummaryMetric("validation"),
                log_x=True,
                running_ymin=True,
                legend_template="${config:label} ${config:factor}x",
            )
            for title, size in (("Values", "values"), ("Bytes", "bytes"), ("Multiply-adds", "multiply_adds"))
        ],
        "What decides": [
            wr.ParameterImportancePlot(with_respect_to="validation"),
            wr.ParallelCoordinatesPlot(
                title="Settings and quality",
                columns=[
                    *(
                        wr.ParallelCoordinatesPlotColumn(wr.Config(name))
                        for name in ("label", "factor", "cmr", "anneal_rate")
                    ),
                    wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric("validation")),
                ],
            ),
        ],
    }


def workspace(entity: str, project: str, study: str | None) -> ws.Workspace:
    """A workspace of the runs of a study, all studies by default, grouped by method."""
    return ws.Workspace(
        entity=entity,
        project=project,
        name=study or "LSTM doping",
        sections=[ws.Section(name=title, panels=panels, is_open=True) for title, panels in sections().items()],
        settings=ws.WorkspaceSettings(max_runs=100),
        runset_settings=ws.RunsetSettings(groupby=[expr.Config("label")], filters=_filter(study)),
    )


def report(entity: str, project: str, study: str | None, runs: tuple[str, str] = ("", "")) -> wr.Report:
    """A report of the same panels, with a word on how to read them.

    ``runs`` are entity and project that the runs are looked up in, which takes a login; by default they stay open, and the
    report shows the runs of its own project.
    """
    runset = {"name": study or "All studies", "groupby": ["config.label"], "filters": _filter(study)}
    blocks: list[wr.P | wr.H2 | wr.PanelGrid] = [wr.P(HOW_TO_READ)]
    for title, panels in sections().items():
        grid = wr.PanelGrid(runsets=[wr.Runset(entity=runs[0], project=runs[1], **runset)], panels=panels)
        blocks += [wr.H2(title), grid]
    title = f"LSTM doping: {study}" if study else "LSTM doping"
    return wr.Report(entity=entity, project=project, title=title, blocks=blocks, width="fluid")


def _curve(
    title: str, key: str, groupby: wr.Config, x: str = "sparsity", title_x: str = SPARSITY, **options: bool
) -> wr.LinePlot:
    return wr.LinePlot(
        title=title,
        x=x,
        y=[key],
        title_x=title_x,
        groupby=groupby,
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        **options,
    )


def _filter(study: str | None) -> str:
    return f"Group = '{study}'" if study else ""
