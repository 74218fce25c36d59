"""Entry: ``python -m analysis.wandb_pages`` writes or publishes a W&B workspace and report."""

if __name__ == "__main__":
    from doping.entry import run_command

    run_command("analysis.wandb_pages.command")
