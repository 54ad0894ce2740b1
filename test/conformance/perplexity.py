"""Perplexity of a model with transformers on rows of token ids: python perplexity.py MODEL ROWS.json prints one number."""

import json
import math
import sys

import torch
from transformers import AutoModelForCausalLM


def main() -> None:
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
    total, count = 0.0, 0
    with torch.no_grad():
        for row in json.load(open(sys.argv[2])):
            ids = torch.tensor(row)
            scores = torch.log_softmax(model(ids[None]).logits[0].double(), -1)
            total -= scores[:-1].gather(1, ids[1:, None]).sum().item()
            count += len(row) - 1
    print(math.exp(total / count))


if __name__ == "__main__":
    main()
