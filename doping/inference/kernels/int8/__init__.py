"""Products and recurrent layers in int8 arithmetic: weights of 8 or 4 bits, vectors rounded to 8, sums in int32.

    >>> layers = [Int8Layer(narrow(input), narrow(recurrent), bias_M)]
    >>> steps = Int8Steps(layers)               # a sequence whose state stays in C
    >>> steps.x[:] = x_I
    >>> y_H = steps.step()

Every instruction set gives the same results, bit for bit; the fastest of the processor is taken, or the one that the
environment variable ``LSTM_DOPING_INSTRUCTIONS`` names.
"""

from doping.inference.kernels.int8.native import Int8Layer, Int8Matrix, available, instructions, narrow
from doping.inference.kernels.int8.recurrent import Int8Recurrent
from doping.inference.kernels.int8.steps import Int8Model, Int8Steps

__all__ = ["Int8Layer", "Int8Matrix", "Int8Model", "Int8Recurrent", "Int8Steps", "available", "instructions", "narrow"]
