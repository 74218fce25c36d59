"""What things cost, measured: training steps, sweeps, monitoring, large texts, compressed layers. Each is a command."""
