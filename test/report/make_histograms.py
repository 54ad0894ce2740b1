"""Writes histograms.json beside this file: values, and numpy's counts of them. Needs numpy."""
import json
from pathlib import Path

import numpy as np

rng = np.random.default_rng(0)
cases = []
for low, high, bins in [(-2.0, 2.0, 150), (-0.1, 0.3, 7), (0.0, 1.0, 150)]:
    edges = np.linspace(low, high, bins + 1)
    values = np.concatenate([rng.normal(0, (high - low) / 3, 300), edges, [low, high, 1e30, -1e30]]).astype(np.float32)
    counts, _ = np.histogram(values.astype(np.float64), bins=bins, range=(low, high))
    cases.append({"low": low, "high": high, "bins": bins, "values": [float(v) for v in values], "counts": counts.tolist()})
Path(__file__).with_name("histograms.json").write_text(json.dumps(cases) + "\n")
