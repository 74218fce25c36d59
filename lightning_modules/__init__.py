"""What is trained: compressed weight matrices, an LSTM made of them, and the tasks that train it."""
