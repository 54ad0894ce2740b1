"""Cuts texts into passages and spreads the passages of all kinds evenly."""

import random
import re

# Passages with these words are left out, whatever their age: a calibration row is no place for them.
SLURS = re.compile(r"\b(nigg\w*|darkies|darky|jew(?:ed|s?) down|kike\w*|chinam[ae]n|coons?|squaws?|half-breeds?|injuns?)\b", re.I)

GUTENBERG = re.compile(r"Gutenberg|\betext", re.I)  # the name is a trademark: their headers stay out


def unwelcome(text):
    return SLURS.search(text) or GUTENBERG.search(text)


def unwrap(text):
    """Joins the hard-wrapped lines of prose; paragraphs stay."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\r", ""))
    return "\n\n".join(" ".join(line.strip() for line in p.split("\n")).strip() for p in paragraphs)


def cut(text, size=2400, least=900):
    """Passages of whole paragraphs, about `size` characters each; what is shorter than `least` is dropped."""
    out, now, length = [], [], 0
    for block in re.split(r"\n\s*\n", text.replace("\r", "").strip("\n")):
        block = block.rstrip()
        if not block.strip():
            continue
        if now and length + len(block) > size * 1.25:
            out.append("\n\n".join(now))
            now, length = [], 0
        now.append(block)
        length += len(block)
        if length >= size:
            out.append("\n\n".join(now))
            now, length = [], 0
    out.append("\n\n".join(now))
    return [p for p in out if least <= len(p) <= size * 2.5 and not unwelcome(p)]


def cut_lines(text, size=2400, least=900):
    """The same for text without blank lines between its parts: verse, tables."""
    out, now, length = [], [], 0
    for line in text.replace("\r", "").split("\n"):
        now.append(line.rstrip())
        length += len(line) + 1
        if length >= size:
            out.append("\n".join(now).strip("\n"))
            now, length = [], 0
    out.append("\n".join(now).strip("\n"))
    return [p for p in out if len(p) >= least and not unwelcome(p)]


def some(passages, budget, seed):
    """Passages from all over the text, in its order, up to `budget` characters."""
    order = list(range(len(passages)))
    random.Random(seed).shuffle(order)
    taken, size = [], 0
    for i in order:
        if size >= budget:
            break
        taken.append(i)
        size += len(passages[i])
    return [passages[i] for i in sorted(taken)]


def spread(by_kind):
    """All passages so that any stretch holds the kinds in the proportion of the whole: passage i of n stands at (i + 1/2) / n."""
    placed = []
    for rank, (kind, rows) in enumerate(sorted(by_kind.items())):
        rows = list(rows)
        random.Random(kind).shuffle(rows)
        placed += [((i + 0.5) / len(rows), rank, row) for i, row in enumerate(rows)]
    return [row for _, _, row in sorted(placed, key=lambda p: (p[0], p[1]))]


def eight_grams(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 8]) for i in range(len(words) - 7)}
