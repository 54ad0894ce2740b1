"""Writes bitsandbytes checkpoints of a very small Llama with transformers, and the logits that they give on the CPU.

Usage: make_bitsandbytes.py OUT_DIR [case ...]
Needs bitsandbytes 0.50.2, accelerate 1.15.0, transformers 5.17, torch 2.14. One thread, so that means are summed in one order.

`original` beside the cases is the model, `odd-original` that of the cases whose names begin so, ../architectures/gpt2 that of GPT-2's: one layer with biases, a row and some blocks of zeros, matrices of more than 256 blocks, and a norm that lets some
inputs exceed the threshold of LLM.int8. `logits.safetensors` of each case: logits in float32 for `input_ids`, all rows in one batch, with the
modules in evaluation and without the kernel that computes in bfloat16 where the processor has AVX512-BF16. `outliers.json`: how many columns of inputs each
linear of LLM.int8 took out for them. `int8-linears.safetensors` is no checkpoint: what bitsandbytes makes of single inputs with codes, in float32 (`y.<threshold>`).
"""
import json
import os
import shutil
import sys

import bitsandbytes as bnb
import bitsandbytes.functional as F
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

CASES = {
    "nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "nf4-double": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    "fp4": dict(load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_quant_storage="float32"),
    "fp4-double": dict(
        load_in_4bit=True,
        bnb_4bit_quant_type="fp4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_quant_storage="bfloat16",
        llm_int8_skip_modules=["lm_head", "o_proj"],
    ),
    "odd-nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "odd-nf4-double": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    "odd-fp4": dict(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
    "gpt2-nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "gpt2-fp4-double": dict(load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_use_double_quant=True),
    "gpt2-int8": dict(load_in_8bit=True),
    "int8": dict(load_in_8bit=True),
    "int8-no-threshold": dict(load_in_8bit=True, llm_int8_threshold=0.0, llm_int8_skip_modules=["lm_head", "model.layers.0.self_attn"]),
}
# Of cases with a model of their own, by the beginning of the name; blocks of 64 run over the ends of its rows, the last one is shorter, some weights have an odd
# number of elements.
SHAPES = {
    "original": dict(hidden_size=64, intermediate_size=320, num_attention_heads=2, num_key_value_heads=1, attention_bias=True),
    "odd-original": dict(
        hidden_size=45, intermediate_size=75, num_attention_heads=3, num_key_value_heads=1, head_dim=10, attention_bias=True, mlp_bias=True
    ),
}
LINEARS = "int8-linears"
KEPT = ("config.json", "model.safetensors")


def make_original(folder, name):
    torch.manual_seed(11)
    config = LlamaConfig(
        vocab_size=64,
        num_hidden_layers=1,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.2,
        dtype="bfloat16",
        **SHAPES[name],
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        layer = model.model.layers[0]
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith("bias"):
                parameter.normal_(0, 0.1)
        layer.mlp.up_proj.weight[3] = 0
        if name == "original":
            layer.mlp.down_proj.weight[5:9, 64:192] = 0
            layer.input_layernorm.weight[7] = 5.0
            layer.post_attention_layernorm.weight[[2, 40]] = 4.0
        else:
            # All of the last block.
            layer.mlp.down_proj.weight[-1] = 0
    model.to(torch.bfloat16).save_pretrained(os.path.join(folder, name))
    os.remove(os.path.join(folder, name, "generation_config.json"))


def original_of(folder, name):
    if name.startswith("gpt2-"):
        return os.path.join(os.path.dirname(os.path.abspath(__file__)), "architectures", "gpt2")
    return os.path.join(folder, "odd-original" if name.startswith("odd-") else "original")


def dequantized(module):
    """The linear with its weights in float32: for rows of multiples of 16 that are none of 64, the AVX512 kernel of bitsandbytes 0.50.2 takes every row to begin a
    block, other kernels of it do not."""
    state = module.weight.quant_state
    absmax = F.dequantize_blockwise(state.absmax, state.state2) + state.offset if state.nested else state.absmax
    packed = module.weight.data.view(torch.uint8).flatten()
    codes = torch.stack([packed >> 4, packed & 15], 1).flatten()[: state.shape.numel()].long()
    weight = state.code[codes] * absmax.repeat_interleave(state.blocksize)[: codes.numel()]
    linear = torch.nn.Linear(module.in_features, module.out_features, module.bias is not None)
    linear.weight.data = weight.view(state.shape)
    if module.bias is not None:
        linear.bias.data = module.bias.data.float()
    return linear


def logits_of(folder, rows):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    for name, module in list(model.named_modules()):
        if isinstance(module, Linear4bit) and module.in_features % 16 == 0 and module.in_features % 64 != 0:
            model.set_submodule(name, dequantized(module))
    with torch.no_grad():
        logits = model(rows).logits.float().contiguous()
    outliers = {name: module.state.idx.numel() for name, module in model.named_modules() if isinstance(module, Linear8bitLt) and module.state.threshold > 0}
    return logits, outliers


def make(folder, name, options):
    model = AutoModelForCausalLM.from_pretrained(original_of(folder, name), quantization_config=BitsAndBytesConfig(**options))
    scratch = os.path.join(folder, f"{name}-all")
    model.save_pretrained(scratch)
    kept = os.path.join(folder, name)
    os.makedirs(kept, exist_ok=True)
    for file in KEPT:
        shutil.copy(os.path.join(scratch, file), kept)
    rows = torch.randint(0, 64, (2, 12), generator=torch.Generator().manual_seed(5))
    logits, outliers = logits_of(scratch, rows)
    save_file({"input_ids": rows, "logits": logits}, os.path.join(kept, "logits.safetensors"))
    if outliers:
        with open(os.path.join(kept, "outliers.json"), "w") as file:
            json.dump({"input_ids": rows.tolist(), "columns": outliers}, file)
    shutil.rmtree(scratch)


def make_linears(folder):
    """Codes of a matrix with a bias, inputs of which one column exceeds 6, and the products: with it left in 16 bits, and with all in 8."""
    generator = torch.Generator().manual_seed(3)
    rows, columns, tokens = 10, 192, 5
    codes, magnitudes, _ = F.int8_vectorwise_quant(torch.randn(rows, columns, generator=generator).half())
    x, bias = torch.randn(tokens, columns, generator=generator), torch.randn(rows, generator=generator)
    x[1, 77], x[3, 77] = 9.5, -2.0
    found = {"codes": codes.float(), "magnitudes": magnitudes, "x": x, "bias": bias}
    for threshold in (6.0, 0.0, 12.0):
        state = bnb.MatmulLtState(CB=codes, SCB=magnitudes)
        state.has_fp16_weights = state.is_training = False
        found[f"y.{threshold:.0f}"] = bnb.matmul(x.clone(), codes, bias=bias, state=state, threshold=threshold)
    save_file(found, os.path.join(folder, f"{LINEARS}.safetensors"))


def main(folder, *names):
    torch.set_num_threads(1)
    if not names:
        shutil.rmtree(folder, ignore_errors=True)
    for name in names or [*SHAPES, *CASES, LINEARS]:
        if name == LINEARS:
            make_linears(folder)
        elif name in SHAPES:
            make_original(folder, name)
        else:
            make(folder, name, CASES[name])


if __name__ == "__main__":
    main(*sys.argv[1:])
