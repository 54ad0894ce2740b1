"""One run of a peer, from a model folder to a saved one: what `bench/vs-peers.js` times beside llmpress.

Usage: peer.py CASE MODEL TEXT OUT ROWS LENGTH THREADS. CASE: a key of CASES (llm-compressor) or `perplexity` (transformers, float32).
TEXT: calibration.jsonl, or the text to score. Prints one JSON line: seconds of the compression itself, or the perplexity.
"""
import json, math, os, sys, time

case, model_dir, text, out, rows, length, threads = sys.argv[1:5] + [int(x) for x in sys.argv[5:8]]
os.environ["OMP_NUM_THREADS"] = str(threads)
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_num_threads(threads)
torch.Tensor.pin_memory = lambda self, *a, **k: self  # AWQ of llm-compressor 0.14 pins memory even where there is no CUDA


def group(bits, symmetric, size, observer="memoryless_minmax"):
    weights = dict(num_bits=bits, type="int", symmetric=symmetric, strategy="group", group_size=size, observer=observer)
    return dict(config_groups={"group_0": dict(targets=["Linear"], weights=weights)}, ignore=["lm_head"])


def cases():
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

    preset = lambda scheme: dict(scheme=scheme, targets="Linear", ignore=["lm_head"])
    return {
        "gptq-w4-g64": lambda: GPTQModifier(**group(4, True, 64)),
        "gptq-w4-g64-mse": lambda: GPTQModifier(**group(4, True, 64, "memoryless_mse")),
        "smoothquant-gptq-w8a8": lambda: [SmoothQuantModifier(smoothing_strength=0.8), GPTQModifier(**preset("W8A8"))],
        "awq-w4-g64-asym": lambda: [AWQModifier(), QuantizationModifier(**group(4, False, 64))],
        "rtn-w4-g64": lambda: QuantizationModifier(**group(4, True, 64)),
        "fp8-dynamic": lambda: QuantizationModifier(**preset("FP8_DYNAMIC")),
    }


def token_rows(tokenizer, joined):
    ids = tokenizer(joined, return_tensors="pt").input_ids[0]
    count = min(rows, len(ids) // length)
    return ids[: count * length].view(count, length)


def score():
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    loss = tokens = 0
    with torch.no_grad():
        for row in token_rows(tokenizer, open(text).read()):
            logits = model(row[None]).logits[0, :-1]
            loss += torch.nn.functional.cross_entropy(logits, row[1:], reduction="sum").item()
            tokens += len(row) - 1
    return dict(perplexity=math.exp(loss / tokens))


def compress():
    from datasets import Dataset
    from llmcompressor import oneshot

    make = cases()[case]
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype="auto")
    data = {}
    if case not in ("rtn-w4-g64", "fp8-dynamic"):
        ids = token_rows(tokenizer, "\n\n".join(json.loads(line)["text"] for line in open(text)))
        dataset = Dataset.from_dict({"input_ids": ids.tolist(), "attention_mask": [[1] * length] * len(ids)})
        data = dict(dataset=dataset, num_calibration_samples=rows, max_seq_length=length, shuffle_calibration_samples=False)
    start = time.time()
    oneshot(model=model, tokenizer=tokenizer, recipe=make(), **data)
    seconds = time.time() - start
    model.save_pretrained(out, save_compressed=True)
    tokenizer.save_pretrained(out)
    return dict(seconds=seconds)


print(json.dumps(score() if case == "perplexity" else compress()))
