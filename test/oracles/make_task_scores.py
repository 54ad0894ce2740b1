"""What lm-evaluation-harness (lm-eval 0.4.13 from PyPI) makes of the rows in test/data/tasks with a model, as one JSON document.

    python make_task_scores.py MODEL DATA OUTPUT.json [--fewshot 0 2] [--tasks hellaswag piqa] [--limit N]

Each task is the harness's own, settings and code, with its data set replaced by the local files.
"""

import argparse
import json
import pathlib
import tempfile

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

HARNESS = pathlib.Path(lm_eval.__file__).parent / "tasks"
TASKS = {
    "hellaswag": ("hellaswag/hellaswag.yaml", ["train", "validation"]),
    "piqa": ("piqa/piqa.yaml", ["train", "validation"]),
    "arc_easy": ("arc/arc_easy.yaml", ["train", "test"]),
    "gsm8k": ("gsm8k/gsm8k.yaml", ["train", "test"]),
}


def local_task(folder: pathlib.Path, data: pathlib.Path, task: str) -> None:
    path, splits = TASKS[task]
    files = {split: str(data / task / f"{split}.jsonl") for split in splits}
    lines = [f"include: {HARNESS / path}", f"task: local_{task}", "dataset_path: json", "dataset_name: null"]
    lines += ["dataset_kwargs:", f"  data_files: {json.dumps(files)}"]
    if "validation" not in splits:
        lines.append("validation_split: null")
    (folder / f"{task}.yaml").write_text("\n".join(lines) + "\n")


def sample(entry: dict) -> dict:
    first, *_ = entry["arguments"]
    # Prompts are long: their hash says whether they are equal, the first of each run how they look.
    prompt = {"prompt": first[0]} if entry["doc_id"] == 0 else {}
    found = {"doc_id": entry["doc_id"], "filter": entry["filter"], "prompt_hash": entry["prompt_hash"], **prompt}
    if isinstance(first[1], dict):
        found["text"] = entry["resps"][0][0]
        found["answer"] = entry["filtered_resps"][0]
    else:
        found["scores"] = [round(score, 5) for score, _ in entry["filtered_resps"]]
    return found | {name: float(entry[name]) for name in entry["metrics"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--fewshot", type=int, nargs="+", default=[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--raw", type=pathlib.Path, help="also the harness's own document of the last run")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    for task in args.tasks:
        local_task(folder, args.data.resolve(), task)
    lm = HFLM(pretrained=str(args.model), dtype="float32", batch_size=1, device="cpu")
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    runs = []
    for fewshot in args.fewshot:
        found = lm_eval.simple_evaluate(
            model=lm,
            tasks=[f"local_{task}" for task in args.tasks],
            num_fewshot=fewshot,
            limit=args.limit,
            task_manager=manager,
            bootstrap_iters=100000,
        )
        for task in args.tasks:
            name = f"local_{task}"
            results = {key: value for key, value in found["results"][name].items() if "," in key}
            runs.append(
                {
                    "task": task,
                    "num_fewshot": fewshot,
                    "version": found["versions"][name],
                    "higher_is_better": found["higher_is_better"][name],
                    "n_samples": found["n-samples"][name],
                    "results": results,
                    "samples": [sample(entry) for entry in found["samples"][name]],
                }
            )
    if args.raw:
        args.raw.write_text(json.dumps(found, indent=1, default=str))
    document = {"lm_eval": lm_eval.__version__, "limit": args.limit, "runs": runs}
    args.output.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
