"""Writes the folder model, which computes NUMBER times the sum of its inputs: python make_model.py NUMBER"""

import json
import sys
from pathlib import Path

Path("model").mkdir(exist_ok=True)
settings = {"name": "linear", "implementation": "runtime.Linear", "parameters": {"uri": "./weights.json"}}
Path("model/model-settings.json").write_text(json.dumps(settings, indent=2))
Path("model/weights.json").write_text(json.dumps({"weight": float(sys.argv[1])}))
