"""Lightning callbacks: what happens in the course of a training."""
