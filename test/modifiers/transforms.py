"""Writes transforms.json: SmoothQuant's factors and AWQ's search by llm-compressor's own methods, in float32.

Usage: python transforms.py && npx biome format --write transforms.json   (llmcompressor 0.14; no other input)
"""

import json
from pathlib import Path

import torch
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme, initialize_module_for_quantization
from llmcompressor.modifiers.quantization.calibration import initialize_observer
from llmcompressor.modifiers.transform.awq import AWQModifier
from llmcompressor.modifiers.transform.awq.mappings import ResolvedMapping
from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(5)
ROWS, COLUMNS, TOKENS = 12, 32, 96


def random(rows):
    # Three decimals, so that the file holds what was computed with.
    return (torch.randn(rows, COLUMNS, generator=generator) * 1000).round() / 1000


def linear(weight):
    layer = torch.nn.Linear(COLUMNS, len(weight), bias=False)
    layer.weight.data = weight.clone()
    return layer


def flat(tensor, digits=3):
    return [float(f"{value:.{digits}g}") if digits > 3 else round(value, digits) for value in tensor.double().flatten().tolist()]


def smoothquant(x):
    weights = [random(ROWS), random(8)]
    for weight in weights:
        weight[:, 3] = 0
    layers = [linear(weight) for weight in weights]
    cases = []
    for algorithm, strength in [("smoothquant", 0.5), ("smoothquant", 0.8), ("smoothquant", 0.0), ("log_equalization", 0.5)]:
        modifier = SmoothQuantModifier(smoothing_strength=strength, algorithm=algorithm)
        factors = torch.maximum(modifier._calculate_smoothing_scales(layers, x.max(0)[0] - x.min(0)[0]), torch.tensor([1e-5]))
        cases.append(dict(algorithm=algorithm, strength=strength, factors=flat(factors, 8)))
    return dict(weights=[flat(weight) for weight in weights], cases=cases)


def search(x, weight, scheme, duo, grid):
    layer = linear(weight)
    layer.quantization_scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(type="int", **scheme))
    initialize_module_for_quantization(layer, layer.quantization_scheme)
    initialize_observer(layer, base_name="weight")
    modifier = AWQModifier(duo_scaling=duo, n_grid=grid)
    modifier._smooth_activation_stats["norm"] = [x.abs().sum(0), torch.tensor(len(x))]
    modifier._run_samples = lambda module: [torch.nn.functional.linear(x, module.weight)]
    mapping = ResolvedMapping("norm", torch.nn.LayerNorm(COLUMNS), [layer], balance_names=["linear"], parent=layer, parent_name="linear")
    factors = modifier._compute_best_scale(mapping, modifier._run_samples(layer), {layer: weight})
    layer.weight.data = weight.clone()
    metric = modifier._error_metrics[-1]
    return dict(
        scheme=scheme,
        duo=duo,
        grid=grid,
        points=[[round(ratio, 8), on] for ratio, on in modifier._get_grid_search_params()],
        meanWeights=flat(modifier._compute_layer_means([layer]), 8),
        factors=flat(factors, 8),
        lossBefore=metric["initial_error"],
        lossAfter=metric["best_error"],
    )


def awq(x):
    weight = random(ROWS)
    schemes = [
        dict(num_bits=4, symmetric=False, strategy="group", group_size=16),
        dict(num_bits=4, symmetric=True, strategy="channel"),
        dict(num_bits=3, symmetric=True, strategy="group", group_size=8),
        dict(num_bits=8, symmetric=True, strategy="block", block_structure=[4, 16]),
    ]
    searches = [search(x, weight, scheme, duo, grid) for scheme in schemes for duo, grid in [(True, 20), (False, 20), ("both", 20), (True, 7)]]
    tensor = search(x, weight, dict(num_bits=4, symmetric=True, strategy="tensor"), False, 20)
    return dict(weight=flat(weight), cases=[*searches, tensor])


x = random(TOKENS)
x[:, 7] = (x[:, 7] * 30).round(decimals=3)
x[:, 21] = (x[:, 21] * 12 + 5).round(decimals=3)
golden = dict(rows=ROWS, columns=COLUMNS, tokens=TOKENS, inputs=flat(x), smoothquant=smoothquant(x), awq=awq(x))
Path(__file__).with_name("transforms.json").write_text(json.dumps(golden))
