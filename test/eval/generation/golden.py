"""Greedy continuations by transformers in float32: the reference of generate.test.ts.

Usage: python test/eval/generation/golden.py MODEL > test/eval/generation/golden.json
MODEL is examples/models/docs-llama-4m for the committed file.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = ["I have a dream", "The compiler", "fn main() {", "Where the naïve café — 東京 🎉 is"]
NEW_TOKENS = 64

folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
results = []
for prompt in PROMPTS:
    inputs = tokenizer(prompt, return_tensors="pt")
    with torch.no_grad():
        out = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)[0]
    count = inputs.input_ids.shape[1]
    prefix = tokenizer.decode(out[:count], skip_special_tokens=True)
    whole = tokenizer.decode(out, skip_special_tokens=True)
    results.append({"prompt": prompt, "promptIds": out[:count].tolist(), "ids": out[count:].tolist(), "text": whole[len(prefix):]})
lines = ",\n".join(json.dumps(result, ensure_ascii=False) for result in results)
print(f'{{"newTokens": {NEW_TOKENS}, "results": [\n{lines}\n]}}')
