"""Products and LSTM layers in int8 arithmetic: weights of 8 or 4 bits, vectors rounded to 8, sums in int32."""

from doping.inference.kernels.int8.native import Int8Layer, Int8Matrix, available, instructions

__all__ = ["Int8Layer", "Int8Matrix", "available", "instructions"]
