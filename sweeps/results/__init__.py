"""What is on disk: a trial's row and curve, the folder around them, and the tables that are views of them."""
