"""Writes what the kernels are held to, in float64 with torch:
golden.json: GPTQ by the way of its paper's code (Cholesky, inverse, Cholesky of the inverse);
golden-search.json: the candidate scale of least weighted error for every group;
golden-refine.json: what alternating least-squares scales and coordinate descent reach, H (W - Q) made anew for every step.

Usage: python golden.py && npx biome format --write golden*.json   (torch 2.x; no other input)
"""

import json
from pathlib import Path

import torch


def problem(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4 * columns, columns, generator=generator) @ (torch.eye(columns) + 0.2 * torch.randn(columns, columns, generator=generator))
    h = (x.T @ x / len(x)).float()
    return ((h + h.T) / 2).float(), torch.randn(rows, columns, generator=generator).float()


def case(name, rows, columns, group, bits, symmetric, act_order, negative, seed):
    h, weight = problem(rows, columns, seed)
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
        "name": name, "rows": rows, "columns": columns, "groups": scale.shape[1], "float": None, "min": low, "max": high,
        "h": values(h), "weight": values(weight), "scale": values(scale), "zeroPoint": [int(v) for v in values(zero)],
        "groupOf": values(group_of), "factor": values(factor), "codes": [int(v) for v in values(torch.stack(codes, 1))], "loss": values(loss),
    }  # fmt: skip


def patterns(kind):
    """Bit patterns with their values, rising, each value once."""
    if kind == "E2M1":
        sizes = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=torch.float64)
        return torch.cat([torch.arange(15, 8, -1), torch.arange(8)]), torch.cat([-sizes.flip(0)[:-1], sizes])
    bits = torch.cat([torch.arange(0xFE, 0x80, -1), torch.arange(0x7F)])
    return bits, bits.to(torch.uint8).view(torch.float8_e4m3fn).double()


def float_case(name, kind, rows, columns, group, act_order, seed):
    h, weight = problem(rows, columns, seed)
    bits, grid = patterns(kind)
    scale = (weight.reshape(rows, -1, group).abs().amax(-1) / grid[-1]).float()
    order = torch.argsort(torch.diag(h), descending=True) if act_order else torch.arange(columns)
    group_of = (torch.arange(columns) // group)[order]
    h, weight = h[order][:, order], weight[:, order]
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h.double())), upper=True)
    middles = (grid[1:] + grid[:-1]) / 2
    rest, codes, loss, margin = weight.double().clone(), [], torch.zeros(rows, dtype=torch.float64), 1.0
    for j in range(columns):
        s = scale.double()[:, group_of[j]]
        t = rest[:, j] / s
        margin = min(margin, ((t[:, None] - middles).abs() / middles.abs()).min().item())
        nearest = torch.bucketize(t, middles)
        e = (rest[:, j] - grid[nearest] * s) / factor[j, j]
        rest[:, j:] -= torch.outer(e, factor[j, j:])
        loss += e**2
        # What is between zero and its neighbour keeps its sign.
        codes.append(torch.where((grid[nearest] == 0) & (t < 0), 0x80 if kind == "E4M3" else 8, bits[nearest]))
    assert margin > 1e-5, (name, margin)
    values = lambda t: t.flatten().tolist()
    return {
        "name": name, "rows": rows, "columns": columns, "groups": scale.shape[1], "float": kind, "min": -grid[-1].item(), "max": grid[-1].item(),
        "h": values(h), "weight": values(weight), "scale": values(scale), "zeroPoint": None,
        "groupOf": values(group_of), "factor": values(factor), "codes": values(torch.stack(codes, 1)), "loss": values(loss),
    }  # fmt: skip


cases = [
    case("W4 symmetric, groups of 8", 17, 40, 8, 4, True, False, False, 1),
    case("W4 asymmetric, groups of 8, act order", 9, 32, 8, 4, False, True, False, 2),
    case("W3 symmetric, one group, negative scales, act order", 5, 33, 33, 3, True, True, True, 3),
    case("W8 asymmetric, groups of 8, negative scales", 3, 24, 8, 8, False, False, True, 4),
    float_case("E4M3, a scale a row, act order", "E4M3", 9, 33, 33, True, 5),
    float_case("E2M1, groups of 8", "E2M1", 11, 32, 8, False, 6),
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


def bf16(t):
    return t.bfloat16().float()


def grid(weight, group, bits, symmetric, ratio, sign=1):
    """Scale and zero point [rows, groups] from a fraction of the range, the scale rounded to bfloat16 first."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    blocks = weight.reshape(len(weight), -1, group)
    if symmetric:
        scale = bf16(sign * ratio * blocks.abs().amax(-1) / ((high - low) / 2))
        return scale, torch.zeros_like(scale)
    bottom, top = ratio * blocks.amin(-1).clamp(max=0), ratio * blocks.amax(-1).clamp(min=0)
    scale = bf16((top - bottom) / (high - low))
    return scale, (low - bottom / scale).round().clamp(low, high)


def search_case(name, rows, columns, group, bits, symmetric, norm, weighted, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator) ** 3
    importance = torch.rand(columns, generator=generator) ** 2 if weighted else torch.ones(columns)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    ratios = [1.1, 1.05, 1, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.79, 0.75, 0.7]
    grids = [grid(weight, group, bits, symmetric, r, sign) for sign in ((1, -1) if symmetric else (1,)) for r in ratios]
    blocks, shares = weight.double().reshape(rows, -1, group), importance.double().reshape(1, -1, group)
    errors = []
    for scale, zero in grids:
        s, z = scale.double()[..., None], zero.double()[..., None]
        q = (blocks / s + z).round().clamp(low, high)
        errors.append(((blocks - (q - z) * s).abs() ** norm * shares).sum(-1))
    error = torch.stack(errors, -1)
    scale, zero = (torch.stack(t, -1) for t in zip(*grids))
    # numpy gives the first of equals. An index is fair to compare where float32 sums cannot tip it over; the same scale again, with either
    # sign, gives the same sum to the bit where nothing is clamped.
    index = torch.from_numpy(error.numpy().argmin(-1))
    twin = scale.abs() == scale.abs().gather(-1, index[..., None])
    same = twin & (error == error.amin(-1, keepdim=True))
    gap = torch.where(same, torch.inf, error / error.amin(-1, keepdim=True) - 1)
    assert gap.min() > 1e-4, (name, gap.min())
    values = lambda t: [float(f"{v:.9g}") for v in t.flatten().tolist()]
    return {
        "name": name, "rows": rows, "columns": columns, "groupSize": group, "candidates": len(grids), "min": low, "max": high, "norm": norm,
        "weight": values(weight), "importance": values(importance) if weighted else None, "scale": values(scale),
        "zeroPoint": None if symmetric else [int(v) for v in zero.flatten().tolist()], "index": index.flatten().tolist(),
    }  # fmt: skip


def refit(weight, codes, scale, hessian, group):
    """Least squares of all scales of each row at once: A s = b, A_gh = c_g H_gh c_h, b_g = c_g (H w)_g."""
    rows, groups = scale.shape
    fresh = scale.clone()
    for row in range(rows):
        spread = torch.zeros(groups, len(hessian), dtype=torch.float64)
        for g in range(groups):
            spread[g, g * group : (g + 1) * group] = codes[row, g * group : (g + 1) * group]
        a, b = spread @ hessian @ spread.T, spread @ hessian @ weight[row]
        solved = torch.linalg.solve(a + 1e-5 * a.diag().diag(), b)
        ratio = solved / scale[row]
        candidate = bf16(torch.where((ratio >= 0.5) & (ratio <= 2), solved, scale[row])).double()
        if quadratic(weight[row] - candidate @ spread, hessian) < quadratic(weight[row] - scale[row] @ spread, hessian):
            fresh[row] = candidate
    return fresh


def quadratic(error, hessian):
    return (error @ hessian * error).sum(-1)


def descend(weight, codes, scale, hessian, group, nearest):
    columns = scale.repeat_interleave(group, 1)
    product = (weight - codes * columns) @ hessian
    for j in range(len(hessian)):
        s = columns[:, j]
        q = nearest(codes[:, j] + product[:, j] / (hessian[j, j] * s), j // group)
        product -= torch.outer((q - codes[:, j]) * s, hessian[j])
        codes[:, j] = q


def refine_case(name, weight, hessian, group, bits, symmetric, negative, ratio):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    scale, zero = grid(weight, group, bits, symmetric, ratio)
    if negative:
        scale[:, ::2] *= -1
        zero[:, ::2] = (low + high - zero[:, ::2]) if not symmetric else zero[:, ::2]
    w, h, s, z = weight.double(), hessian.double(), scale.double(), zero.double()
    codes = (w / s.repeat_interleave(group, 1) + z.repeat_interleave(group, 1)).round().clamp(low, high)
    start = codes.clone()
    codes -= z.repeat_interleave(group, 1)
    losses = []
    for _ in range(4):
        losses.append(quadratic(w - codes * s.repeat_interleave(group, 1), h))
        s = refit(w, codes, s, h, group)
        descend(w, codes, s, h, group, lambda t, g: t.round().clamp(min=low - z[:, g], max=high - z[:, g]))
    integers = lambda t: [int(v) for v in t.flatten().tolist()]
    return {
        "name": name, "groupSize": group, "float": None, "min": low, "max": high, "scaleDtype": "BF16", "codes": integers(start),
        "scale": [float(f"{v:.9g}") for v in scale.flatten().tolist()], "zeroPoint": None if symmetric else integers(zero),
        "losses": [rounded(row.tolist()) for row in losses],
    }  # fmt: skip


def refine_float_case(name, weight, hessian, group, kind):
    """Scales stay as they are."""
    bits, values = patterns(kind)
    middles = (values[1:] + values[:-1]) / 2
    nearest = lambda t: values[torch.bucketize(t, middles)]
    scale = bf16(weight.reshape(len(weight), -1, group).abs().amax(-1) / values[-1])
    w, h, s = weight.double(), hessian.double(), scale.double()
    columns = s.repeat_interleave(group, 1)
    codes = nearest(w / columns)
    start = bits[torch.searchsorted(values, codes)]
    losses = []
    for _ in range(4):
        losses.append(quadratic(w - codes * columns, h))
        descend(w, codes, s, h, group, lambda t, g: nearest(t))
    return {
        "name": name, "groupSize": group, "float": kind, "min": -values[-1].item(), "max": values[-1].item(), "scaleDtype": None,
        "codes": start.flatten().tolist(), "scale": [float(f"{v:.9g}") for v in scale.flatten().tolist()], "zeroPoint": None,
        "losses": [rounded(row.tolist()) for row in losses],
    }  # fmt: skip


def refine_cases(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * columns, columns, generator=generator) @ (torch.eye(columns) + 0.3 * torch.randn(columns, columns, generator=generator))
    h = (x.T @ x / len(x)).float()
    h = ((h + h.T) / 2 + 0.01 * h.diag().mean() * torch.eye(columns)).float()
    weight = torch.randn(rows, columns, generator=generator).float()
    return {
        "rows": rows, "columns": columns, "weight": [float(f"{v:.9g}") for v in weight.flatten().tolist()],
        # The upper triangle, row by row.
        "hessian": [float(f"{v:.9g}") for v in h[torch.triu(torch.ones_like(h)).bool()].tolist()],
        "cases": [
            refine_case("W4 symmetric, groups of 32", weight, h, 32, 4, True, False, 1.0),
            refine_case("W4 symmetric, groups of 64, negative scales", weight, h, 64, 4, True, True, 0.9),
            refine_case("W3 asymmetric, groups of 32", weight, h, 32, 3, False, False, 0.95),
            refine_case("W4 asymmetric, groups of 64, negative scales", weight, h, 64, 4, False, True, 1.0),
            refine_case("W4 symmetric, per channel", weight, h, columns, 4, True, False, 0.85),
            refine_float_case("E2M1, groups of 16", weight, h, 16, "E2M1"),
            refine_float_case("E4M3, per channel", weight, h, columns, "E4M3"),
        ],
    }  # fmt: skip


searches = [
    search_case("W4 symmetric, both signs, weighted", 12, 64, 16, 4, True, 2, True, 5),
    search_case("W3 asymmetric, weighted, norm 2.4", 12, 64, 32, 3, False, 2.4, True, 6),
    search_case("W4 symmetric, per channel, norm 3", 16, 48, 48, 4, True, 3, False, 7),
]
Path(__file__).with_name("golden-search.json").write_text(json.dumps(searches) + "\n")
# Seed 11: no scale lies so near the middle between two bfloat16 numbers that the last digits decide, which would lead elsewhere from there on.
Path(__file__).with_name("golden-refine.json").write_text(json.dumps(refine_cases(8, 128, 11)) + "\n")
