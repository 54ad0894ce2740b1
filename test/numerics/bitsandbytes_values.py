"""Values of bitsandbytes' types and what its CPU kernels make of random ones. Usage: bitsandbytes_values.py OUT.json; bitsandbytes 0.50.2, torch 2.14."""
import json
import sys

import torch
import bitsandbytes.functional as F

torch.set_num_threads(1)
torch.manual_seed(3)


def mean(count):
    values = torch.randint(1, 4096, (count,)).float() / 4099
    return {"values": [round(v * 4099) for v in values.tolist()], "mean": values.mean().item()}


def blocks(kind):
    values = torch.randint(-2000, 2000, (64 * 12,)).float() / 1013
    values[:64] = 0
    codes, state = F.quantize_4bit(values.view(12, 64), quant_type=kind)
    return {"kind": kind, "values": [round(v * 1013) for v in values.tolist()], "packed": codes.flatten().tolist(), "absmax": state.absmax.tolist()}


def short(kind, count):
    values = torch.randint(-2000, 2000, (count,)).float() / 1013
    if count == 129:
        values[128:] = 0
    codes, state = F.quantize_4bit(values, quant_type=kind)
    return {"kind": kind, "values": [round(v * 1013) for v in values.tolist()], "packed": codes.flatten().tolist(), "absmax": state.absmax.tolist()}


def dynamic():
    values = torch.randint(-2000, 2000, (600,)).float() / 1013
    values[::3] /= 64
    values[1::5] /= 1024
    codes, state = F.quantize_blockwise(values, blocksize=256)
    return {"values": values.tolist(), "codes": codes.tolist(), "absmax": state.absmax.tolist(), "decoded": F.dequantize_blockwise(codes, state).tolist()}


found = {
    "nf4": F.get_4bit_type("nf4", device="cpu").tolist(),
    "fp4": F.get_4bit_type("fp4", device="cpu").tolist(),
    "map": F.create_dynamic_map().tolist(),
    # Below a vector; whole vectors and a rest; several levels of partial sums.
    "means": [mean(count) for count in [1, 5, 7, 8, 9, 31, 33, 64, 100, 257, 1000, 2100]],
    "blocks": [blocks("nf4"), blocks("fp4")],
    "dynamic": dynamic(),
    # A last block that is shorter: alone, of even and odd length, and of zeros.
    "short": [short(kind, count) for kind in ("nf4", "fp4") for count in (1, 20, 63, 128 + 30, 129, 64 + 33)],
}
json.dump(found, open(sys.argv[1], "w"), separators=(",", ":"))
