"""Serves weights.json with LitServe."""

import json
import time
from pathlib import Path

import litserve


class Linear(litserve.LitAPI):
    def setup(self, device):
        # Real weights take a while to load: until then the version must not get requests.
        time.sleep(2)
        self.weight = json.loads(Path("weights.json").read_text())["weight"]

    def predict(self, request):
        return {"outputs": [self.weight * sum(row) for row in request["inputs"]]}


if __name__ == "__main__":
    server = litserve.LitServer(Linear(), accelerator="cpu", workers_per_device=1)
    server.run(host="0.0.0.0", port=8000, generate_client_file=False)
