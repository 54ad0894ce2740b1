"""Writes golden.json: GPTQ in float64 by the way of its paper's code (Cholesky, inverse, Cholesky of the inverse), with torch.

Usage: python golden.py && npx biome format --write golden.json   (torch 2.x; no other input)
"""

import json
from pathlib import Path

import torch


def case(name, rows, columns, group, bits, symmetric, act_order, negative, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4 * columns, columns, generator=generator) @ (torch.eye(columns) + 0.2 * torch.randn(columns, columns, generator=generator))
    h = (x.T @ x / len(x)).float()
    h = ((h + h.T) / 2).float()
    weight = torch.randn(rows, columns, generator=generator).float()
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    blocks = weight.reshape(rows, -1, group)
    if symmetric:
        # 1.01: else the largest weight of a group lies half-way between two codes.
        scale = (1.01 * blocks.abs().amax(-1) / ((high - low) / 2)).float()
        zero = torch.zeros_like(scale)
    else:
        bottom, top = blocks.amin(-1).clamp(max=0), blocks.amax(-1).clamp(min=0)
        scale = (1.01 * (top - bottom) / (high - low)).float()
        zero = (low - bottom / scale).round().clamp(low, high)
    if negative:
        scale[::2] *= -1
        zero[::2] = (low + high - zero[::2]).round().clamp(low, high) if not symmetric else zero[::2]

    order = torch.argsort(torch.diag(h), descending=True) if act_order else torch.arange(columns)
    group_of = (torch.arange(columns) // group)[order]
    h, weight = h[order][:, order], weight[:, order]

    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h.double())), upper=True)
    rest, codes, loss, margin = weight.double().clone(), [], torch.zeros(rows, dtype=torch.float64), 1.0
    for j in range(columns):
        s, z = scale.double()[:, group_of[j]], zero.double()[:, group_of[j]]
        t = (rest[:, j] / s + z).clamp(low, high)
        margin = min(margin, (t - t.floor() - 0.5).abs().min().item())
        q = t.round()
        e = (rest[:, j] - (q - z) * s) / factor[j, j]
        rest[:, j:] -= torch.outer(e, factor[j, j:])
        loss += e**2
        codes.append(q)
    # A code is fair to compare only where float32 cannot tip it over.
    assert margin > 2e-5, (name, margin)
    values = lambda t: t.flatten().tolist()
    return {
        "name": name, "rows": rows, "columns": columns, "groups": scale.shape[1], "min": low, "max": high,
        "h": values(h), "weight": values(weight), "scale": values(scale), "zeroPoint": [int(v) for v in values(zero)],
        "groupOf": values(group_of), "factor": values(factor), "codes": [int(v) for v in values(torch.stack(codes, 1))], "loss": values(loss),
    }  # fmt: skip


cases = [
    case("W4 symmetric, groups of 8", 17, 40, 8, 4, True, False, False, 1),
    case("W4 asymmetric, groups of 8, act order", 9, 32, 8, 4, False, True, False, 2),
    case("W3 symmetric, one group, negative scales, act order", 5, 33, 33, 3, True, True, True, 3),
    case("W8 asymmetric, groups of 8, negative scales", 3, 24, 8, 8, False, False, True, 4),
]


def rounded(value):
    """factor and loss are compared within 1e-4: eight digits keep the file small."""
    return [float(f"{v:.8g}") for v in value]


for golden in cases:
    golden["factor"], golden["loss"] = rounded(golden["factor"]), rounded(golden["loss"])
    for key in ("h", "weight", "scale"):
        # Nine digits name a float32.
        golden[key] = [float(f"{v:.9g}") for v in golden[key]]
Path(__file__).with_name("golden.json").write_text(json.dumps(cases) + "\n")
