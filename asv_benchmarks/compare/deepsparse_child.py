"""The side of DeepSparse in `compare`: runs in an environment of its own, which has deepsparse, onnx and numpy.

Requests are lines of JSON on stdin, answers lines of JSON on stdout; arrays are files in the current folder. The file
imports nothing of this project and runs on Python 3.8 and later, as DeepSparse does.

    {"do": "hello"}                                            -> {"version": "1.8.0"}
    {"do": "load", "cores": 2}  x.npy; weights.npz: w0 w1 ...  -> {}
    {"do": "run"}                                              -> {}, the output in y.npy
    {"do": "time"}                                             -> {"ns": 123456}
"""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter_ns
from typing import Any

__all__ = ["Session", "main"]


class Session:
    """The engine of one network at a time, and its input."""

    def __init__(self) -> None:
        self.engine: Any = None
        self.x: list[Any] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the request's "do" gives."""
        return getattr(self, request.pop("do"))(**request)  # type: ignore[no-any-return]

    def hello(self) -> dict[str, Any]:
        import deepsparse  # type: ignore[import-not-found, unused-ignore]
        import onnx  # type: ignore[import-not-found, unused-ignore]  # noqa: F401

        return {"version": str(deepsparse.__version__)}

    def load(self, cores: int) -> dict[str, Any]:
        import numpy as np
        from deepsparse import compile_model  # type: ignore[import-not-found, unused-ignore]

        self.engine = None  # the one before gives its memory back first
        x = np.load("x.npy")
        with np.load("weights.npz") as archive:
            weights = [archive[f"w{n}"] for n in range(len(archive.files))]
        _write_model("model.onnx", weights, len(x))
        self.engine, self.x = compile_model("model.onnx", batch_size=len(x), num_cores=cores), [x]
        return {}

    def run(self) -> dict[str, Any]:
        import numpy as np

        np.save("y.npy", self.engine.run(self.x)[0])
        return {}

    def time(self) -> dict[str, Any]:
        """One call timed, right after one that is not: as the other contenders are timed."""
        self.engine.run(self.x, val_inp=False)
        start = perf_counter_ns()
        result = self.engine.run(self.x, val_inp=False)
        stop = perf_counter_ns()
        del result
        return {"ns": stop - start}


def _write_model(path: str, weights: list[Any], batch: int) -> None:
    """Layers x -> relu(x @ w.T), the last without relu, as an exporter writes torch's Linear and ReLU."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, name = [], "x"
    for n in range(len(weights)):
        last = n + 1 == len(weights)
        made = "y" if last else f"h{n}"
        nodes.append(helper.make_node("Gemm", [name, f"w{n}"], [made], transB=1))
        name = made
        if not last:
            name = f"r{n}"
            nodes.append(helper.make_node("Relu", [made], [name]))
    ends = [("x", weights[0].shape[1]), ("y", weights[-1].shape[0])]
    first, final = (helper.make_tensor_value_info(end, TensorProto.FLOAT, [batch, width]) for end, width in ends)
    constants = [numpy_helper.from_array(w, f"w{n}") for n, w in enumerate(weights)]
    graph = helper.make_graph(nodes, "layers", [first], [final], constants)
    # Versions that the runtimes of DeepSparse 1.x read.
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def main() -> None:
    """Answer until stdin ends."""
    # The engine prints its banner on stdout, which the answers must have for themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    session = Session()
    for line in sys.stdin:
        try:
            answer = session.answer(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
