"""
Makes golden.json and tokenizer.json: what torch 2.14, transformers 5.17 and bitsandbytes 0.50 make of the study of test/oracles/architectures/gpt2.
Every parameter is replaced by absmax and by zero-point quantization in eight bits, as notebooks on quantization do it, in float64 and rounded to
bfloat16, the type of the files. Run it with the packages of test/oracles/requirements.txt and bitsandbytes: python golden.py
"""

import json
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

HERE = Path(__file__).parent
MODEL = HERE.parent.parent / "oracles" / "architectures" / "gpt2"
TEXT = (
    "The smallest unit of a text that a model reads is a token. Numbers such as 3, 17 and 2048 are cut into pieces as well. "
    "A scale maps a range of values to the codes of eight bits; a zero point moves the range, so that it need not lie around zero."
)
PROMPT = "I have a dream"


def absmax(x):
    # A division: 127 / tensor takes the reciprocal first, and values of bfloat16 often lie halfway between two codes.
    scale = torch.tensor(127, dtype=x.dtype) / x.abs().max()
    return torch.round(scale * x) / scale


def zeropoint(x):
    span = x.max() - x.min()
    scale = torch.tensor(255, dtype=x.dtype) / (span if span != 0 else torch.tensor(1, dtype=x.dtype))
    zero = torch.round(-scale * x.min() - 128)
    return (torch.clip(torch.round(scale * x + zero), -128, 127) - zero) / scale


def tokenizer():
    vocab = {chr(32 + i): i for i in range(95)}
    made = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    made.decoder = decoders.Fuse()
    return made


def load():
    return AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()


def studied(model, ids, prompt):
    with torch.no_grad():
        loss = model(ids, labels=ids).loss
        written = model.generate(prompt, max_length=40, do_sample=False, pad_token_id=2, attention_mask=torch.ones_like(prompt))
    return {"perplexity": float(torch.exp(loss.double())), "ids": written[0, prompt.shape[1] :].tolist()}


def main():
    made = tokenizer()
    made.save(str(HERE / "tokenizer.json"))
    ids = torch.tensor([made.encode(TEXT).ids])[:, :96]
    prompt = torch.tensor([made.encode(PROMPT).ids])
    found = {"text": TEXT, "window": 96, "prompt": PROMPT, "maxLength": 40, "models": {}}
    for name, quantize in (("original", None), ("absmax", absmax), ("zero-point", zeropoint)):
        model = load()
        if quantize:
            for parameter in model.parameters():
                parameter.data = quantize(parameter.data.double()).to(torch.bfloat16).float()
        values = torch.cat([parameter.data.flatten() for parameter in model.parameters()])
        counts = torch.histogram(values.double(), bins=150, range=(-2.0, 2.0)).hist.int().tolist()
        found["models"][name] = {**studied(model, ids, prompt), "counts": counts}
    model = load()
    found["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    eight = AutoModelForCausalLM.from_pretrained(
        MODEL, dtype=torch.float16, device_map="cpu", quantization_config=BitsAndBytesConfig(load_in_8bit=True)
    )
    with tempfile.TemporaryDirectory() as folder:
        eight.save_pretrained(folder)
        from safetensors import safe_open

        with safe_open(Path(folder) / "model.safetensors", "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    scales = sum(tensor.numel() * tensor.element_size() for name, tensor in tensors.items() if name.endswith(".SCB"))
    found["int8"] = {"footprint": eight.get_memory_footprint(), "scales": scales}
    (HERE / "golden.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")


main()
