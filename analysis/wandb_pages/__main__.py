"""Entry: ``python -m analysis.wandb_pages`` writes or publishes a W&B workspace and report."""

if __name__ == "__main__":
    from doping.entry import start

    start("analysis.wandb_pages.command")
