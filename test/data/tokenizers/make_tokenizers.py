"""Trains small tokenizers of the kinds that language models have, and writes the ids that transformers gives with them.

python make_tokenizers.py

In this folder; needs transformers 5 and tokenizers. Each folder holds a tokenizer.json with the normalizer, pre-tokenizer, post-processor
and added tokens of its family, trained on the texts of this repository (data/mixed-text), and the tokenizer_config.json that goes with it.
ids.json holds the strings and, for each family, their ids by AutoTokenizer and, where they are not the end of those, without framing tokens.
"""

import json
import os
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

TEXTS = "../../../data/mixed-text/calibration.jsonl"
GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def strings():
    """Strings that tokenizers have trouble with: white space, scripts, marks, emoji, code, and text that looks like tokens."""
    s = ["", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\t", "\t\t ", " \n ", "\r\n", "\r\n\r\n", " \t\n\r ", "a", " a", "a ", " a "]
    s += ["  a  b   c    d", "Hello world", "hello  world", "Hello, world!", "HELLO WORLD", "'S 'T", "don’t won’t", "'s't're"]
    s += ["I'm you're he'll we've they'd it's can't", "I'M YOU'RE HE'LL", "123", "1234567890", "3.14159", "1,000,000.00", "12 345"]
    s += ["1e-10", "0x1F", "١٢٣٤", "१२३", "²³¹", "½ ⅓", "Ⅳ Ⅷ", "１２３", "٣٤a٥", "a½b", "Ⅻ12", "1٢3", " 1 2 3", "  12", "a1b2c3", "1a2b3c"]
    s += ["naïve café", "nai\u0308ve cafe\u0301", "Å \u212b A\u030a", "ﬁ ﬂ ﬃ", "ǅ ß ẞ İ ı", "Ω \u2126", "한국어", "\u1112\u1161\u11ab\u1100\u116e\u11a8"]
    s += ["日本語テキスト", "中文字符，标点。", "中 文 字", "ไทยภาษา", "العربية لغة", "עִבְרִית", "हिन्दी में", "Русский язык", "Ελληνικά", "Tiếng Việt"]
    s += ["🙂", "🙂🙂", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "👍🏽", "a🙂b", " 🙂 ", "☺️", "𝔘𝔫𝔦", "𐍈𐌰", "🜁"]
    s += ["\u200b", "a\u200bb", "\u200d", "\ufeff", "\ufeffa", "!\ufeff", "\ufeff\ufeff", " \ufeff a", "a\ufeffb", "\u00a0", "a\u00a0b", "!\u00a0x"]
    s += ["\u2003a\u2003", "x\u2009y", "\u3000", "a\u3000b", "\u202eabc\u202c", "\u2028", "a\u2029b", "\u0085", "!\u0085", " \u0085a", "\u0085\n"]
    s += ["\x0b\x0c", "\x1f", "\x7f", "\x01\x02", "a\u180eb", "\u2060", "\u0301", "e\u0301\u0301\u0301", "\ufffd", "\ue000", "\U000e0041"]
    s += ["▁", "▁▁", "a▁b", " ▁ ", "Ġ", "Ċ", "ĠĠ", "<0x0A>", "<0x41>", "<unk>", "<s>", "</s>", "<pad>", "<s>a</s>", " <s> a </s> ", "<s><s>", "a<s>"]
    s += ["<S>", "< s >", "<|endoftext|>", "a<|endoftext|>b", "a <|endoftext|> b", "<|im_start|>user\nHi<|im_end|>\n", "<|im_start|>", "<|im_start"]
    s += ["<|im_start|><|im_end|>", "<|begin_of_text|>x", "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>", "<bos>a<eos>"]
    s += ["<start_of_turn>user\nHi<end_of_turn>\n", "[INST] Hi [/INST]", "<tool>", " <tool> ", "a<tool>b", "<tool><tool>", "x  <left>  y", "x  <right>  y"]
    s += ["<left>", "<right>", " <left> <right> ", "<|im_start|>  <left>", "def f(x):\n    return x ** 2\n", "if (a && b || !c) { d += 1; }"]
    s += ["for(int i=0;i<10;i++){}", "\tx = 1\n\t\ty = 2\n", "#include <stdio.h>\n", "SELECT * FROM t WHERE a='b';", '<body class="x">&nbsp;</body>']
    s += ['{"a": [1, {"b": null}]}', "https://example.com/a_b?c=d&e=f#g", "user@example.com", "C:\\Users\\x\\y.txt", "/usr/local/bin", "snake_case camelCase"]
    s += ["$x^2 + y_{i,j} \\frac{a}{b}$", "a+b-c*d/e%f", "...", "....", "…", "!?!?", "-----", "————", "***bold***", "~~~", "“curly” ‘curly’"]
    s += ["(a)[b]{c}<d>", "a . b", "a,b", "a , b", "¿Qué? ¡Sí!", "€100 £50 ¥1000 $5", "50% 50 %", "©®™", "→←↑↓", "∑∏∫≤≥≠", "┌─┐", "█▓▒░"]
    s += ["aaaaaaaaaaaaaaaaaaaa", "ababababab", "the the the the", "antidisestablishmentarianism", "x" * 130, " " * 50, "a" + " " * 33 + "b", "\n" * 20]
    s += ["\n \n  \n   \n", "a\n\n\n\nb", "a \n b", "a\n b", "a \nb", "!\n\n", "hi!\n\nthere", ").\n", "  leading", "trailing  ", "tab\tsep\tvalues"]
    s += ["mixed \t \t spaces", "MiXeD cAsE", "Mr. Smith's", "rock'n'roll", "it''s", "x'y'z", "1st 2nd 3rd", "2024-01-31T12:00:00Z", "v1.2.3-beta.4", "H2O CO2"]
    rng = random.Random(7)
    ranges = [(32, 127), (160, 256), (0x370, 0x400), (0x4E00, 0x4E40), (0x1F600, 0x1F620), (0x300, 0x310)]
    alphabet = [chr(c) for start, end in ranges for c in range(start, end)] + [" "] * 60 + ["\n"] * 10
    s += ["".join(rng.choice(alphabet) for _ in range(rng.randint(5, 40))) for _ in range(12)]
    assert len(set(s)) == len(s) >= 230, len(s)
    return s


def trained(tokenizer, size, special, alphabet=(), most=None, tool=True):
    texts = [json.loads(line)["text"] for line in open(TEXTS, encoding="utf-8")]
    limits = {"limit_alphabet": most} if most else {}
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=list(alphabet), show_progress=False, **limits)
    tokenizer.train_from_iterator(texts, trainer)
    # A token of each kind that one may add: searched for in normalized text, and swallowing the space on one side.
    tokenizer.add_tokens([AddedToken("<tool>", normalized=True)] if tool else [])
    tokenizer.add_tokens([AddedToken("<left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True, normalized=False)])
    return tokenizer


def byte_level(words, special, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return trained(tokenizer, 900, special, pre_tokenizers.ByteLevel.alphabet())


def split(regex):
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), last])


def space_marked(normalizer, special, bos, tool=True):
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    # Trained word by word as SentencePiece does, so that no token reaches over a space.
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁*[^▁]+|▁+"), "isolated")
    tokenizer = trained(tokenizer, 1000, special + BYTES, most=150, tool=tool)
    tokenizer.pre_tokenizer = None
    single = [(bos, tokenizer.token_to_id(bos))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=single)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps if bos == "<bos>" else [*steps, decoders.Strip(" ", 1, 0)])
    return tokenizer


def llama3():
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = byte_level(split(GPT4 % "{1,3}"), special, ignore_merges=True)
    begin = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), begin])
    return tokenizer


def unigram(normalizer, words, end="", tool=True):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.Metaspace()
    # Every character that it is trained on has a token of its own: not too many of them.
    texts = ["".join(c for c in json.loads(line)["text"] if ord(c) < 0x100) for line in open(TEXTS, encoding="utf-8")]
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=800, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken("<tool>", normalized=tool)])
    tokenizer.add_tokens([AddedToken("<left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"<s> $A {end}".strip(), special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LLAMA2 = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
GEMMA = {"tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
UNIGRAM = {**FAST, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def gpt2():
    return byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])


def smollm():
    digits = pre_tokenizers.Digits(individual_digits=True)
    return byte_level(pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]), CHATML)


def llama2(tool=True):
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return space_marked(normalizer, ["<unk>", "<s>", "</s>"], "<s>", tool)


def gemma():
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    return space_marked(normalizers.Replace(" ", "▁"), special, "<bos>")


# Family: how it is trained, and the configurations that it comes with.
FAMILIES = {
    "gpt2": (gpt2, {"gpt2": {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}}),
    "smollm": (smollm, {"smollm": {**FAST, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>"}}),
    "llama3": (llama3, {"llama3": {**FAST, "bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}}),
    "qwen2": (
        lambda: byte_level(split(GPT4 % ""), CHATML, normalizers.NFC()),
        {"qwen2": {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "add_prefix_space": False, "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None}},
    ),
    "llama2": (
        llama2,
        {
            "llama2": {**LLAMA2, "legacy": False},
            "llama2-legacy": {**LLAMA2, "legacy": True},
            "llama2-bare": {**LLAMA2, "add_bos_token": False, "add_eos_token": True, "legacy": False, "add_prefix_space": False},
        },
    ),
    "llama2-file": (lambda: llama2(tool=False), {"llama2-file": {**LLAMA2, "tokenizer_class": "PreTrainedTokenizerFast"}}),
    "gemma": (gemma, {"gemma": GEMMA}),
    # Like XLM-R but for its normalizer, a table that only sentencepiece has.
    "unigram-words": (
        lambda: unigram(
            normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]),
            pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
            "</s>",
        ),
        {"unigram-words": UNIGRAM},
    ),
    "unigram": (lambda: unigram(normalizers.NFC(), pre_tokenizers.Metaspace(prepend_scheme="first"), tool=False), {"unigram": UNIGRAM}),
}


def main():
    found = {"strings": strings(), "ids": {}, "plain": {}, "configs": {}}
    for family, (make, configs) in FAMILIES.items():
        os.makedirs(family, exist_ok=True)
        tokenizer = make()
        with open(f"{family}/tokenizer.json", "w", encoding="utf-8") as file:
            json.dump(json.loads(tokenizer.to_str()), file, ensure_ascii=False, separators=(",", ":"))
        for name, config in configs.items():
            with open(f"{family}/tokenizer_config.json", "w") as file:
                json.dump(config, file)
            python = AutoTokenizer.from_pretrained(family)
            found["configs"][name] = {"family": family, "config": config, "class": type(python).__name__}
            found["ids"][name] = [python(text).input_ids for text in found["strings"]]
            found["plain"][name] = [python(text, add_special_tokens=False).input_ids for text in found["strings"]]
            raw = [tokenizer.encode(text).ids for text in found["strings"]]
            differ = sum(a != b for a, b in zip(raw, found["ids"][name]))
            print(name, type(python).__name__, tokenizer.get_vocab_size(), "tokens;", differ, "of", len(raw), "differ from tokenizer.json alone")
        os.remove(f"{family}/tokenizer_config.json")
    for name in found["plain"]:
        # Most are the ids without the first: what is not is kept.
        found["plain"][name] = [None if plain == ids[len(ids) - len(plain) :] else plain for plain, ids in zip(found["plain"][name], found["ids"][name])]
    with open("ids.json", "w", encoding="utf-8") as file:
        json.dump(found, file, separators=(",", ":"))


main()
