"""What a bundle computes, written down plainly: matrices written out, a loop over the steps, 64-bit floats.

Slow, and so short that it can be checked by reading. The kernels are held to it where no trained model is at hand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doping.inference.bundle.file import Bundle
from doping.inference.bundle.weights import LayerWeights, cells, table

Array = npt.NDArray[np.float64]


def lstm_outputs(bundle: Bundle, x_TBI: Array) -> Array:
    """Outputs of the last layer, (steps, batch, inputs) → (steps, batch, directions · hidden), from a state of zeros."""
    lstm = bundle.description.model.lstm
    directions = 2 if lstm.bidirectional else 1
    every = cells(bundle)
    for first in range(0, len(every), directions):
        x_TBI = np.concatenate([_outputs(cell, x_TBI) for cell in every[first : first + directions]], axis=2)
    return x_TBI


def logits(bundle: Bundle, tokens_TB: npt.NDArray[np.integer]) -> Array:
    """Logits of a language model, (steps, batch) → (steps, batch, vocabulary)."""
    embedding_VH, softmax_VH = (
        table(bundle.tensors, name).dense().astype(np.float64) for name in ("embedding", "softmax.weight")
    )
    return lstm_outputs(bundle, embedding_VH[tokens_TB]) @ softmax_VH.T + bundle.tensors["softmax.bias"]


def class_logits(bundle: Bundle, words_T: npt.NDArray[np.integer]) -> Array:
    """Logits of the labels of one text, (words,) → (labels,)."""
    embedding_VI, softmax_CD = (
        table(bundle.tensors, name).dense().astype(np.float64) for name in ("embedding", "softmax.weight")
    )
    outputs_TD = lstm_outputs(bundle, embedding_VI[words_T][:, None])[:, 0]
    scores_T = outputs_TD @ bundle.tensors["attention"].astype(np.float64)
    weights_T = np.exp(scores_T - scores_T.max())
    logits_C: Array = weights_T / weights_T.sum() @ outputs_TD @ softmax_CD.T + bundle.tensors["softmax.bias"]
    return logits_C


def _outputs(cell: LayerWeights, x_TBI: Array) -> Array:
    input_MI, recurrent_MH = (matrix.dense().astype(np.float64) for matrix in (cell.input, cell.recurrent))
    bias_M = 0.0 if cell.bias is None else cell.bias.astype(np.float64)
    steps, batch, _ = x_TBI.shape
    hidden = recurrent_MH.shape[1]
    h_BH, c_BH = np.zeros((batch, hidden)), np.zeros((batch, hidden))
    outputs_TBH = np.zeros((steps, batch, hidden))
    for t in reversed(range(steps)) if cell.reverse else range(steps):
        i, f, g, o = np.split(x_TBI[t] @ input_MI.T + h_BH @ recurrent_MH.T + bias_M, 4, axis=1)
        c_BH = _sigmoid(f) * c_BH + _sigmoid(i) * np.tanh(g)
        h_BH = _sigmoid(o) * np.tanh(c_BH)
        outputs_TBH[t] = h_BH
    return outputs_TBH


def _sigmoid(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * x)
