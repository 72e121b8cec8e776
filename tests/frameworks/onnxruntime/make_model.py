"""Writes model/model.onnx, which computes NUMBER times the sum of its inputs: python make_model.py NUMBER"""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

weights = numpy_helper.from_array(np.full((4, 1), float(sys.argv[1]), dtype=np.float32), "weights")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "weights"], ["y"])],
    "linear",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
    [weights],
)
# An opset and a format that older versions of ONNX Runtime read as well.
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
Path("model").mkdir(exist_ok=True)
save(model, "model/model.onnx")
