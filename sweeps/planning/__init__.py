"""From cells of a study to the trials that are due next: tuning, early stopping, estimates."""
