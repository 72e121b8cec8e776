"""Serves /model/model.onnx with ONNX Runtime."""

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

# Loaded before uvicorn listens: as soon as /healthz answers, the model can be used.
session = onnxruntime.InferenceSession("/model/model.onnx")
app = FastAPI()


class Inputs(BaseModel):
    inputs: list[list[float]]


@app.get("/healthz")
def healthz():
    return {"status": "ok"}


@app.post("/predict")
def predict(request: Inputs):
    (outputs,) = session.run(None, {"x": np.asarray(request.inputs, dtype=np.float32)})
    return {"outputs": outputs.tolist()}
