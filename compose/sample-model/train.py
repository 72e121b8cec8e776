"""Trains the sample model's versions from scikit-learn's bundled handwritten digits; see README.md.

v1  multinomial logistic regression: simple on purpose
v2  a multilayer perceptron with 64 hidden units: better on the same held-out digits
v3  v2 as a faulty export would write it, one input column short: it loads, and never becomes healthy
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy
import sklearn
from server import MAX_PIXEL, Model
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
SEED = 0
HELD_OUT = 400
DECIMALS = 5


def layer(weights: numpy.ndarray, bias: numpy.ndarray) -> dict:
    """scikit-learn's matrices in the server's layout: one row of weights for each output."""
    return {"weights": rounded(weights), "bias": rounded(bias)}


def rounded(values: numpy.ndarray) -> list:
    return (numpy.round(values.astype("float64"), DECIMALS) + 0.0).tolist()


def lines(rows: list) -> str:
    """A JSON list with one row per line, so that a diff of two trainings can be read."""
    return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]"


def weights_text(document: dict) -> str:
    layers = ",\n".join(
        f'{{"weights": {lines(one["weights"])},\n"bias": {json.dumps(one["bias"], separators=(",", ":"))}}}'
        for one in document["layers"]
    )
    return f'{{"version": {json.dumps(document["version"])},\n"layers": [\n{layers}\n]}}\n'


def main() -> int:
    images, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=HELD_OUT, stratify=labels, random_state=SEED
    )
    with threadpool_limits(limits=1):  # the order of additions, and so the last bits, stay the same
        linear = LogisticRegression(max_iter=2000).fit(train_x / MAX_PIXEL, train_y)
        network = MLPClassifier((64,), alpha=0.1, max_iter=1000, random_state=SEED).fit(train_x / MAX_PIXEL, train_y)
    v1 = {"version": "v1", "layers": [layer(linear.coef_, linear.intercept_)]}
    pairs = zip(network.coefs_, network.intercepts_, strict=True)
    v2 = {"version": "v2", "layers": [layer(weights.T, bias) for weights, bias in pairs]}
    first, *others = v2["layers"]
    short = {"weights": [row[1:] for row in first["weights"]], "bias": first["bias"]}
    v3 = {"version": "v3", "layers": [short, *others]}

    for document in (v1, v2, v3):
        folder = HERE / document["version"]
        folder.mkdir(exist_ok=True)
        (folder / "weights.json").write_text(weights_text(document))
    held_out = [[int(pixel) for pixel in image] for image in test_x]
    answers = [int(label) for label in test_y]
    (HERE / "heldout.json").write_text(
        f'{{"images": {lines(held_out)},\n"labels": {json.dumps(answers, separators=(",", ":"))}}}\n'
    )

    # Measured with the server's own code and the rounded weights: what is served is what is counted.
    right = {
        document["version"]: [
            Model.from_document(document).predict(image)[0] == answer
            for image, answer in zip(held_out, answers, strict=True)
        ]
        for document in (v1, v2)
    }
    metrics = {
        "heldout": HELD_OUT,
        "trained_on": len(train_y),
        "seed": SEED,
        "scikit_learn": sklearn.__version__,
        "numpy": numpy.__version__,
        "v1": {
            "model": "multinomial logistic regression",
            "correct": sum(right["v1"]),
            "accuracy": sum(right["v1"]) / HELD_OUT,
        },
        "v2": {
            "model": "multilayer perceptron, 64 hidden units",
            "correct": sum(right["v2"]),
            "accuracy": sum(right["v2"]) / HELD_OUT,
        },
        "v3": {"model": "v2 without its first input column: broken on purpose"},
        "only_v1_right": sum(a and not b for a, b in zip(right["v1"], right["v2"], strict=True)),
        "only_v2_right": sum(b and not a for a, b in zip(right["v1"], right["v2"], strict=True)),
    }
    (HERE / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(json.dumps(metrics, indent=2))
    if metrics["v2"]["accuracy"] <= metrics["v1"]["accuracy"]:
        print("v2 is not better than v1", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
