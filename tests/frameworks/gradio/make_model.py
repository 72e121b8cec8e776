"""Writes weights.json of a model that computes NUMBER times the sum of its inputs: python make_model.py NUMBER"""

import json
import sys
from pathlib import Path

Path("weights.json").write_text(json.dumps({"weight": float(sys.argv[1])}))
