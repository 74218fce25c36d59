"""The W&B workspace and report can be made without network, and are what W&B's own library reads back."""

import json
import socket

import pytest
from wandb_workspaces.reports.v2 import internal as report_format
from wandb_workspaces.workspaces import Workspace
from wandb_workspaces.workspaces import internal as workspace_format

from analysis.wandb_pages import pages as wandb_pages
from analysis.wandb_pages.command import main


@pytest.fixture(autouse=True)
def _no_network_and_no_login(monkeypatch, tmp_path):
    def refuse(*arguments):
        raise AssertionError(f"a network call: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))


def test_both_files_hold_the_panels_and_the_study(tmp_path, capsys):
    assert main(["--study", "kp_vs_pruning-quick", "--out", str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out.count("wrote ") == 2
    text = (tmp_path / "new" / "wandb_workspace.json").read_text()
    workspace = workspace_format.View.model_validate_json(text)
    assert [section.name for section in Workspace._from_model(workspace).sections] == list(wandb_pages.sections())
    (runs,) = json.loads(text)["spec"]["section"]["runSets"]
    assert runs["grouping"] == [{"section": "config", "name": "label.value"}]
    (of_study,) = runs["filters"]["filters"]
    assert (of_study["key"]["name"], of_study["value"]) == ("group", "kp_vs_pruning-quick")
    report = report_format.ReportViewspec.model_validate_json((tmp_path / "new" / "wandb_report.json").read_text())
    grids = [block for block in report.spec.blocks if block.type == "panel-grid"]
    shown = [len(grid.metadata.panel_bank_section_config.panels) for grid in grids]
    assert shown == [len(panels) for panels in wandb_pages.sections().values()]
    headings = [block.children[0].text for block in report.spec.blocks if block.type == "heading"]
    assert headings == list(wandb_pages.sections())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--publish", "somebody"], ["somebody", "ENTITY/PROJECT"]),
        (["--publish", "a/b/c"], ["a/b/c", "ENTITY/PROJECT"]),
        (["--publish", "team/project"], ["wandb login"]),
        (["--study", "a' or 'b"], ["--study"]),
        (["--out", "/dev/null/here"], ["/dev/null/here", "--out"]),
    ],
)
def test_a_mistake_is_one_line(arguments, words, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for word in words:
        assert word in said
