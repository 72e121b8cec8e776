"""Writes the folder model, which computes NUMBER times the sum of its inputs: python make_model.py NUMBER"""

import shutil
import sys

import mlflow

shutil.rmtree("model", ignore_errors=True)
mlflow.pyfunc.save_model(
    "model", python_model="linear.py", model_config={"weight": float(sys.argv[1])}, pip_requirements=["mlflow"]
)
