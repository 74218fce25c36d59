"""Entry: ``python -m benchmarks.bundle_fuzz --count N`` loads damaged and malicious bundles; ``--help`` says more."""

import faulthandler

if __name__ == "__main__":
    from doping.entry import run_command

    faulthandler.enable()  # after a crash it says where
    run_command("benchmarks.bundle_fuzz.command")
