"""Makes data/mixed-text/calibration.jsonl and data/quotations/eval.txt from Debian 12 and npm packages.

Usage: make.py WORK_DIR [--all-quotations FILE]     needs Python 3.11.4, apt-get, dpkg and npm
WORK_DIR keeps the packages. FILE receives every entry of the fortunes databases, of which only a part may be passed on.
"""

import argparse
import json
import os
import random

from kinds import KINDS, REPOSITORY
from passages import eight_grams, spread
from quotations import all_quotations, quotations
from sources import unpack


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--all-quotations")
    args = parser.parse_args()
    at = unpack(args.work)
    fortunes = [at["fortunes"], at["fortunes-min"]]
    with open(os.path.join(REPOSITORY, "data/docs-text/eval.txt"), encoding="utf8") as f:
        held_out = eight_grams(f.read())

    by_kind, shared = {}, 0
    for kind in KINDS:
        rows = [{"text": text, "kind": kind.__name__, "source": source} for source, texts in kind(at) for text in texts]
        kept = [r for r in rows if not eight_grams(r["text"]) & held_out]
        shared += len(rows) - len(kept)
        by_kind[kind.__name__] = kept
        print(f"{kind.__name__:15} {len(kept):4} passages {sum(len(r['text']) for r in kept):8} characters")
    rows = spread(by_kind)
    write("data/mixed-text/calibration.jsonl", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    chosen = quotations(fortunes, [r["text"] for r in rows])
    write("data/quotations/eval.txt", "\n\n".join(chosen) + "\n")
    print(f"{len(rows)} passages; {shared} left out for eight words shared with data/docs-text/eval.txt; {len(chosen)} quotations")
    if args.all_quotations:
        everything = all_quotations(fortunes)
        random.Random(1).shuffle(everything)
        with open(args.all_quotations, "w", encoding="utf8") as f:
            f.write("\n\n".join(everything) + "\n")


def write(path, text):
    full = os.path.join(REPOSITORY, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf8", newline="\n") as f:
        f.write(text)
    print(path, len(text.encode()), "bytes")


main()
