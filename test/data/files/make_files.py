"""Writes the small data files that the loaders are tested on, with pyarrow. Run in this folder.

python make_files.py
"""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [{"text": f"Row {i}: naïve café, 漢字 and 🙂 number {i * i}.", "n": i} for i in range(40)]
CHATS = [
    [{"role": "user", "content": f"What is {i} + {i}?"}, {"role": "assistant", "content": f"{2 * i}."}]
    for i in range(6)
]


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def zstd(data):
    return pa.compress(data, codec="zstd", asbytes=True)


open("rows.jsonl", "wb").write(lines(ROWS))
# mtime: the same bytes every time.
open("rows.jsonl.gz", "wb").write(gzip.compress(lines(ROWS), mtime=0))
# Two frames one after the other, as zstd files that were appended to have them.
open("rows.jsonl.zst", "wb").write(zstd(lines(ROWS[:25])) + zstd(lines(ROWS[25:])))

table = pa.table({"n": [row["n"] for row in ROWS], "text": [row["text"] for row in ROWS]})
for codec in ["snappy", "zstd", "gzip"]:
    pq.write_table(table, f"rows-{codec}.parquet", compression=codec, row_group_size=7)
chats = {"prompt": [chat[0]["content"] for chat in CHATS], "prompt_id": [f"{i:04x}" for i in range(6)], "messages": CHATS}
pq.write_table(pa.table(chats), "chats.parquet")
WORDS = {"question": ["How many?", "How much?"], "answer": ["Two and two.\n#### 4", "#### 5"]}
pq.write_table(pa.table(WORDS), "questions.parquet")
TASKS = {
    "input": ["", "2, 3"],
    "output": ["Blue.", "5"],
    "instruction": ["Name a colour.", "Add the numbers."],
    "data_source": ["a", "b"],
}
pq.write_table(pa.table(TASKS), "instructions.parquet")
pq.write_table(pa.table({"text": ["", " = Title = \n", "", " A paragraph . \n"]}), "paragraphs.parquet")
pq.write_table(pa.table({"input_ids": [[1, 2, 3], [4, 5, 6, 7]]}), "tokens.parquet")
