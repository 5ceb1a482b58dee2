"""Reads CSV objects of the lake with other readers than ours.

    csv_readers.py FOLDER

The folder holds N.csv and N.json, the same records in both formats, as
test/unit/test_csv.c leaves them.  Prints a line for each reader and file;
"0 differ" says that every value of every row is that of the JSON line.
"""

import csv
import json
import os
import sys

import duckdb
import pyarrow
import pyarrow.csv

ESCAPES = {"n": "\n", "r": "\r", "\\": "\\"}

# What has the same text in both formats; arrays and json values have not.
METADATA = ["_op", "_lsn", "_seq", "_xid", "_ts", "_reason"]
OTHER_TEXT = ["js", "jb", "ints", "texts"]


def unescape(text):
    """What output.csv_newlines = escape made of the text, undone."""
    out = []
    rest = iter(text)
    for c in rest:
        out.append(ESCAPES[next(rest)] if c == "\\" else c)
    return "".join(out)


def text_of(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def compare(reader, name, columns, rows, lines, knows_null=True):
    """A reader that knows no quotes takes the text \\N for NULL as well."""
    escaped = "_escaped" in columns[:15]
    wanted = [
        (i, c)
        for i, c in enumerate(columns)
        if c in METADATA or (c[0] != "_" and c not in OTHER_TEXT)
    ]
    differ = 0
    first = ""
    for number, line in enumerate(lines):
        record = json.loads(line, parse_float=str, parse_int=str)
        for i, column in wanted:
            value = rows[number][i]
            want = text_of(record.get(column))
            if not knows_null and value == "\\N" and want in (None, "\\N"):
                continue
            if escaped and value is not None:
                value = unescape(value)
            if value != want:
                differ += 1
                first = first or f": row {number}, {column}: {value!r}, not {want!r}"
    print(f"{reader} {name}: {len(rows)} of {len(lines)} rows, {differ} differ{first}")


def with_python(path):
    with open(path, newline="", encoding="utf-8") as f:
        rows = list(csv.reader(f))
    return rows[0], rows[1:]


def with_duckdb(path, columns):
    relation = duckdb.read_csv(
        path,
        columns={c: "VARCHAR" for c in columns},
        header=True,
        sep=",",
        quotechar='"',
        escapechar='"',
        na_values="\\N",
        allow_quoted_nulls=False,
        auto_detect=False,
    )
    return relation.fetchall()


def with_pyarrow(path, columns, newlines):
    table = pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=newlines),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={c: pyarrow.string() for c in columns},
            null_values=["\\N"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return list(zip(*[c.to_pylist() for c in table.columns]))


def main(folder):
    csv.field_size_limit(1 << 30)
    names = sorted(f[:-4] for f in os.listdir(folder) if f.endswith(".csv"))
    for name in names:
        path = f"{folder}/{name}.csv"
        with open(f"{folder}/{name}.json", encoding="utf-8") as f:
            lines = f.read().split("\n")[:-1]
        columns, rows = with_python(path)
        compare("python", name, columns, rows, lines, knows_null=False)
        compare("duckdb", name, columns, with_duckdb(path, columns), lines)
        keeps = "_escaped" not in columns[:15]
        compare("pyarrow", name, columns, with_pyarrow(path, columns, keeps), lines)
        if not keeps:  # so it suits a reader that knows lines only
            with open(path, encoding="utf-8", newline="\n") as f:
                count = sum(1 for _ in f) - 1
            print(f"lines {name}: {count} of {len(lines)} rows, 0 differ")


main(sys.argv[1])
