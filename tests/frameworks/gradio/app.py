"""A page, and an API, for weights.json with Gradio."""

import json
from pathlib import Path

import gradio

weight = json.loads(Path("weights.json").read_text())["weight"]


def predict(a: float, b: float) -> float:
    return weight * (a + b)


def count(calls: int) -> tuple[int, int]:
    return calls + 1, calls + 1


with gradio.Blocks(title="Linear") as page:
    inputs = [gradio.Number(value=0, label="a"), gradio.Number(value=0, label="b")]
    output = gradio.Number(label="prediction")
    # Without a queue the answer comes with its request, so POST /gradio_api/run/predict needs no session.
    gradio.Button("Predict").click(predict, inputs, output, api_name="predict", queue=False)
    # What a session remembers is in the memory of this process.
    calls = gradio.State(0)
    gradio.Button("Count").click(count, calls, [calls, output], api_name="count")

page.launch()
