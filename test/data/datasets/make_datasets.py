"""Loads small datasets whose cards say which files are whose, and slices of splits, with the datasets library, and writes datasets.json.

python make_datasets.py

In this folder; needs datasets 4 or newer. datasets.json holds the files of each dataset and, for each subset and split, the texts of its rows, or
null where the library refuses.
"""

import json
import os
import tempfile

import datasets

datasets.disable_progress_bars()


def rows(*texts):
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


FILES = {
    "a/one.jsonl": rows("a1", "a2"),
    "a/two.jsonl": rows("a3"),
    "b/part-0.jsonl": rows("b0"),
    "b/part-1.jsonl": rows("b1"),
    "b/deep/part-2.jsonl": rows("b2"),
    "held/out.jsonl": rows("h1"),
    "misc/trainer.jsonl": rows("never"),
}
SEVERAL = """configs:
- config_name: first
  data_files:
  - split: train
    path:
    - a/two.jsonl
    - a/one.jsonl
  - split: test
    path: held/*.jsonl
- config_name: second
  default: true
  data_files:
  - split: train
    path: b/**
  - split: tiny
    path: b/part-[1-9].jsonl
- config_name: third
  data_files: "*/o*.jsonl"
- config_name: fourth
  data_dir: b
"""
CARDS = {
    "several": SEVERAL,
    "one": 'configs:\n- config_name: default\n  data_files:\n  - "b/part-?.jsonl"\n  - a/one.jsonl\n',
    "none": "license: mit\n",
    "many without a default": "configs:\n- config_name: x\n  data_files: a/*.jsonl\n- config_name: y\n  data_files: b/*.jsonl\n",
}
WANTED = [
    ("several", None, "train"),
    ("several", None, "tiny"),
    ("several", None, "test"),
    ("several", "first", "train"),
    ("several", "first", "test"),
    ("several", "third", "train"),
    ("several", "fourth", "train"),
    ("several", "fifth", "train"),
    ("one", None, "train"),
    ("one", "default", "train"),
    ("many without a default", None, "train"),
    ("many without a default", "y", "train"),
]
SLICES = ["[:5%]", "[10%:]", "[-3:]", "[2:5]", "[:-14]", "[-10%:]", "[50%:52%]", "[3:400]", "[:]", "[7:7]", "[33%:66%]", "[-20%:-10%]", "[:2.5%]", "[5]", "[:101%]"]


def load(folder, config, split):
    try:
        # Without a cache between two datasets.
        with tempfile.TemporaryDirectory() as cache:
            return list(datasets.load_dataset(folder, config, split=split, cache_dir=cache)["text"])
    except Exception as error:
        print(config, split, type(error).__name__, str(error)[:150].replace("\n", " "))
        return None


def write(folder, files):
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)


def main():
    found = {"files": FILES, "cards": {name: f"---\n{card}---\n# A dataset\n" for name, card in CARDS.items()}, "wanted": [], "slices": []}
    for card, config, split in WANTED:
        with tempfile.TemporaryDirectory() as folder:
            write(folder, {**FILES, "README.md": found["cards"][card]})
            texts = load(folder, config, split)
        found["wanted"].append({"card": card, "config": config, "split": split, "texts": texts})
    for count in (17, 50):
        with tempfile.TemporaryDirectory() as folder:
            files = {"train-0.jsonl": rows(*map(str, range(5))), "train-1.jsonl": rows(*map(str, range(5, count)))}
            write(folder, files)
            for part in SLICES:
                found["slices"].append({"count": count, "slice": part, "texts": load(folder, None, f"train{part}")})
    with open("datasets.json", "w") as file:
        json.dump(found, file, indent=1)


main()
