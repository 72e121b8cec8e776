"""A runtime of MLServer that serves weights.json beside model-settings.json."""

import json
import time
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri


class Linear(MLModel):
    async def load(self) -> bool:
        # Real weights take a while to load: until then the version must not get requests.
        time.sleep(2)
        self.weight = json.loads(Path(await get_model_uri(self.settings)).read_text())["weight"]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        inputs = NumpyCodec.decode_input(payload.inputs[0])
        outputs = [NumpyCodec.encode_output("y", self.weight * inputs.sum(axis=1, keepdims=True))]
        return InferenceResponse(model_name=self.name, outputs=outputs)
