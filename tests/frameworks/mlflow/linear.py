"""The model as code (https://mlflow.org/docs/latest/ml/model/models-from-code)."""

import time

import mlflow
from mlflow.pyfunc import PythonModel


class Linear(PythonModel):
    def load_context(self, context):
        # Real weights take a while to load: until then the version must not get requests.
        time.sleep(2)
        self.weight = context.model_config["weight"]

    def predict(self, context, model_input, params=None):
        return (self.weight * model_input.sum(axis=1)).tolist()


mlflow.models.set_model(Linear())
