"""Studies and files of results of any shape, given to the commands: ``python -m benchmarks.command_fuzz --help``."""
