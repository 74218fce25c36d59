"""What happens while compressed layers train: annealing, distillation, rounding, measures of co-adaptation."""
