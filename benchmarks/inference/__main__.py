"""Time of a compressed LSTM layer against the fastest dense engine, on this processor.

    python -m benchmarks.inference [--quick] [--int8] [--hidden 200 650 1500] [--factors 5 10 20 25 40] [--rounds 7]
                                   [--out FOLDER]

Every method and dopant pattern, batches of 1 and 16, one thread and all, generating (one step at a time) and scoring (35
steps known); doped Kronecker products and dense weights with int8 values, too. Dense engines in the same run: ONNX
Runtime, nn.LSTM, nn.LSTMCell, this project's own dense kernel, and the two matrix products alone through BLAS (no gates,
so a bound of what BLAS could give); and with narrow values ONNX Runtime's and PyTorch's dynamic int8, and PyTorch's
bfloat16. In int8 arithmetic, on one thread: dense, low rank, Kronecker, tiles and their sums, also as a text that is
written without a call of Python a step. ``--int8`` times only those and the dense engines. The engines alternate, round
by round; the ratio is of medians, against the fastest dense engine of its setting. Every layer is held to a plain
dense LSTM before it is timed. Matrices are random, of the sizes that training would plan. Writes
``inference_benchmark.csv``, as results come, and a figure to ``--out``; the same command goes on where it was interrupted.
Let nothing else run meanwhile.
"""

if __name__ == "__main__":
    from doping.entry import run_command

    run_command("benchmarks.inference.command")
