#!/usr/bin/env python3
# Reads Parquet objects with pyarrow, DuckDB and polars and holds each value against the
# record line that the json format writes for the same change.
#
#	check_parquet.py FOLDER DOCUMENT	NAME.parquet and NAME.jsonl, each pair
#
# The types of columns are those of the document's table (doc/parquet.md).  Also: least and greatest values and NULLs of row groups and pages, and where
# the page index says that pages are.  Prints what is wrong, a line each; exit
# code 1.
import datetime
import decimal
import glob
import json
import math
import os
import re
import sys
import uuid

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

wrong = 0


def complain(*words):
    global wrong
    wrong += 1
    if wrong < 40:
        print(*words)


class Number(str):
    """A JSON number's text."""


def records(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        for line in f:
            yield json.loads(line, parse_int=Number, parse_float=Number,
                             parse_constant=Number, strict=False)


EPOCH = datetime.datetime(1970, 1, 1)
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?Z?$")


class Exact(Exception):
    """The type does not hold the value."""


def expected_time(text):
    m = TIME.match(text)
    if not m or m[1] == "0000":
        raise Exact
    us = int(((m[7] or "") + "000000")[:6])
    return datetime.datetime(*(int(m[i]) for i in range(1, 7)), us)


def expected_decimal(text, type):
    d = decimal.Decimal(text)
    if not d.is_finite() or -d.as_tuple().exponent != type.scale:
        raise Exact
    return d


def is_uuid(type):
    return isinstance(type, pa.UuidType)


def expected(value, type):
    """A value of a record line as pyarrow has it in a column of that type."""
    if value is None:
        return None
    if pa.types.is_boolean(type):
        return value
    if pa.types.is_integer(type):
        return int(value)
    if pa.types.is_floating(type):
        f = float(value)
        return pa.scalar(f, type).as_py()
    if pa.types.is_decimal(type):
        return expected_decimal(value, type)
    if is_uuid(type):
        return uuid.UUID(value)
    if pa.types.is_time(type):
        if value.startswith("24:"):
            raise Exact
        return datetime.time.fromisoformat(value)
    if pa.types.is_date(type):
        if not re.match(r"(?!0000)\d{4}-", value):
            raise Exact
        return datetime.date.fromisoformat(value)
    if pa.types.is_timestamp(type):
        t = expected_time(value)
        if type.unit == "ms":
            t = t.replace(microsecond=t.microsecond // 1000 * 1000)
        return t
    if pa.types.is_binary(type):
        return bytes.fromhex(value[2:])
    if pa.types.is_list(type):
        if not isinstance(value, list):
            raise Exact
        return [expected(v, type.value_type) for v in value]
    return value  # text


def same(got, want):
    if isinstance(got, datetime.datetime):
        got = got.replace(tzinfo=None)
    if isinstance(want, float) and isinstance(got, float):
        return (math.isnan(want) and math.isnan(got)) or (
            want == got and math.copysign(1, want) == math.copysign(1, got))
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(map(same, got, want))
    return type(got) in (type(want), Number, str) and got == want


def same_json(got, want):
    return json.loads(got, parse_int=Number, parse_float=Number,
                      parse_constant=Number, strict=False) == want


META = ("_op", "_lsn", "_seq", "_xid", "_ts", "_nokey", "_partial", "_reason",
        "_before", "_key", "_unchanged", "_withheld", "_jsonnull", "_exact", "_moved")
JSON_COLUMNS = ("js", "jb")


def check_meta(where, row, record):
    for name in ("_op", "_lsn", "_reason", "_nokey", "_moved"):
        if row[name] != record.get(name):
            complain(where, name, row[name], record.get(name))
    for name in ("_seq", "_xid"):
        want = record.get(name)
        if row[name] != (None if want is None else int(want)):
            complain(where, name, row[name], want)
    if row["_ts"].replace(tzinfo=None) != expected_time(record["_ts"]):
        complain(where, "_ts", row["_ts"], record["_ts"])
    for name in ("_partial", "_before", "_key"):
        want = record.get(name)
        if (row[name] is None) != (want is None) or (
                want is not None and not same_json(row[name], want)):
            complain(where, name, row[name], want)
    if row["_unchanged"] != record.get("_unchanged") and record["_op"] == "u":
        complain(where, "_unchanged", row["_unchanged"])
    if row["_jsonnull"] != record.get("_jsonnull"):
        complain(where, "_jsonnull", row["_jsonnull"])
    withheld = {
        w["column"]: {k: v for k, v in (
            ("reason", w["reason"]), ("size", Number(w["size"])),
            ("crc32c", w["crc32c"]),
            ("bytes", None if w["bytes"] is None else "\\x" + w["bytes"].hex()),
        ) if v is not None}
        for w in row["_withheld"] or ()}
    if withheld != record.get("_withheld", {}):
        complain(where, "_withheld", withheld, record.get("_withheld"))


def check_column(where, field, got, record, exact):
    name = field.name
    value = record.get(name)
    # a long value of a row in parts may stand in _exact, or be blanks and null
    parts = "/parts" in where
    if name in record.get("_jsonnull", ()):
        if got is not None and not (parts and got.strip() == "null"):
            complain(where, name, "JSON null is", got)
        return
    try:
        want = value if name in JSON_COLUMNS else expected(value, field.type)
        if parts and name in exact and got is None:
            got = exact[name]
            if pa.types.is_binary(field.type):
                got = bytes.fromhex(got[2:])
            elif pa.types.is_list(field.type):
                return
        elif name in exact and not pa.types.is_list(field.type) and not (
                pa.types.is_timestamp(field.type) and field.type.unit == "ms"):
            complain(where, name, "is in _exact without need:", value)
    except Exact:
        if parts and isinstance(value, str) and exact.get(name) == value:
            return
        if pa.types.is_list(field.type) and isinstance(value, list):
            value = exact.get(name)  # PostgreSQL's text; the reader's test has it
        if name not in exact or exact.get(name) != value or got is not None:
            complain(where, name, "is not in _exact:", value, got)
        return
    if name in exact and pa.types.is_list(field.type) and got is None:
        return  # a list that holds NaN, or that is long
    if name in JSON_COLUMNS:
        if (got is None) != (name not in record or value is None) or (
                got is not None and not same_json(got, value)):
            complain(where, name, got, value)
    elif not same(got, want):
        complain(where, name, repr(got), repr(want))


def check_rows(path, table, lines):
    if table.num_rows != len(lines):
        complain(path, table.num_rows, "rows instead of", len(lines))
    fields = [f for f in table.schema if f.name not in META]
    columns = {name: table.column(name).to_pylist()
               for name in table.schema.names}
    for i, record in enumerate(lines):
        where = f"{path}, record {i}:"
        exact = {}
        for e in columns["_exact"][i] or ():
            # items of one column belong together
            exact[e["column"]] = exact.get(e["column"], "") + e["text"]
        meta = {name: columns[name][i] for name in META}
        if "_before" in exact:
            meta["_before"] = exact.pop("_before")
        check_meta(where, meta, record)
        for f in fields:
            check_column(where, f, columns[f.name][i], record, exact)


# ---- DuckDB ----


def check_duckdb(path, table):
    """DuckDB reads what pyarrow reads."""
    names = ", ".join('"' + n.replace('"', '""') + '"'
                      for n in table.schema.names)
    got = duckdb.sql(f"select {names} from read_parquet('{path}')")
    got = got.to_arrow_table() if hasattr(got, "to_arrow_table") else got.arrow()
    if not isinstance(got, pa.Table):
        got = got.read_all()
    for name in table.schema.names:
        a = got.column(name).to_pylist()
        b = table.column(name).to_pylist()
        if is_uuid(table.schema.field(name).type):
            b = [v and str(v) for v in b]
        for i, (x, y) in enumerate(zip(a, b)):
            if not (x == y or repr(x) == repr(y) or same_instant(x, y)):
                complain(path, "DuckDB:", name, i, repr(x), repr(y))
                break
        if len(a) != len(b):
            complain(path, "DuckDB:", len(a), "rows instead of", len(b))


def same_instant(x, y):
    return (isinstance(x, datetime.datetime) and isinstance(y, datetime.datetime)
            and x.replace(tzinfo=None) == y.replace(tzinfo=None))


# ---- polars ----


def plain(v):
    """A value as every engine's Python has it."""
    if isinstance(v, uuid.UUID):
        return v.bytes
    if isinstance(v, datetime.datetime):
        return v.replace(tzinfo=None)
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    return [plain(x) for x in v] if isinstance(v, list) else v


def check_polars(path, table):
    """Polars reads what pyarrow reads."""
    got = polars.read_parquet(path)
    if got.columns != table.schema.names:
        complain(path, "polars:", got.columns)
        return
    for name in table.schema.names:
        a = [plain(v) for v in got[name].to_list()]
        b = [plain(v) for v in table.column(name).to_pylist()]
        if got[name].dtype == polars.Binary and name in JSON_COLUMNS:
            a = [v and v.decode() for v in a]  # JSON is bytes to polars
        if a != b and repr(a) != repr(b):
            i = next((i for i, (x, y) in enumerate(zip(a, b))
                      if x != y and repr(x) != repr(y)), len(b))
            complain(path, "polars:", name, i, repr(a[i:i + 1]),
                     repr(b[i:i + 1]))


# ---- statistics and the page index ----


class Thrift:
    """Thrift's compact protocol: structures as {field: value}."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        v = shift = 0
        while True:
            b = self.byte()
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    def zigzag(self):
        v = self.varint()
        return (v >> 1) ^ -(v & 1)

    def value(self, kind, in_list=False):
        if kind in (1, 2):
            return (self.byte() == 1) if in_list else kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 8:
            n = self.varint()
            self.at += n
            return self.data[self.at - n:self.at]
        if kind in (9, 10):
            head = self.byte()
            n = self.varint() if head >> 4 == 15 else head >> 4
            return [self.value(head & 15, True) for _ in range(n)]
        assert kind == 12, kind
        return self.struct()

    def struct(self):
        out, last = {}, 0
        while True:
            head = self.byte()
            if head == 0:
                return out
            last = last + (head >> 4) if head >> 4 else self.zigzag()
            out[last] = self.value(head & 15)


def bound(raw, column, type):
    """A bound's bytes as a value that compares."""
    physical = column.physical_type
    if physical in ("INT32", "INT64"):
        v = int.from_bytes(raw, "little", signed=True)
        return v
    if physical == "FLOAT" or physical == "DOUBLE":
        import struct
        return struct.unpack("<f" if physical == "FLOAT" else "<d", raw)[0]
    if physical == "FIXED_LEN_BYTE_ARRAY" and not is_uuid(type):
        return int.from_bytes(raw, "big", signed=True)
    if physical == "BOOLEAN":
        return raw[0]
    return raw


def comparable(value, type):
    """A value of pyarrow as bound() has it."""
    if isinstance(value, decimal.Decimal):
        return int(value.scaleb(type.scale, decimal.Context(prec=60)))
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, datetime.time):
        return ((value.hour * 60 + value.minute) * 60
                + value.second) * 10**6 + value.microsecond
    if isinstance(value, datetime.datetime):
        delta = value.replace(tzinfo=None) - EPOCH
        us = (delta.days * 86400 + delta.seconds) * 10**6 + delta.microseconds
        return us // 1000 if type.unit == "ms" else us
    if isinstance(value, datetime.date):
        return (value - EPOCH.date()).days
    return value


def check_bounds(where, raw_min, raw_max, column, type, values, exact=True):
    values = [comparable(v, type) for v in values if v is not None]
    values = [v for v in values if not (isinstance(v, float) and math.isnan(v))]
    if not values:
        return
    low, high = bound(raw_min, column, type), bound(raw_max, column, type)
    if low > min(values) or high < max(values):
        complain(where, "bounds", low, high, "of", min(values), max(values))
    short = not isinstance(low, bytes) or max(map(len, values)) <= 64
    if short and (low != min(values) or high != max(values)):
        complain(where, "loose bounds", low, high, "of", min(values),
                 max(values))
    if isinstance(low, bytes) and max(len(low), len(high)) > 64:
        complain(where, "long bounds")


def check_statistics(where, chunk, column, type, values):
    """The ColumnMetaData's Statistics."""
    s = chunk[3].get(12)
    if s is None:
        complain(where, "no statistics")
        return
    if s[3] != sum(v is None for v in values):
        complain(where, "nulls", s[3])
    if 5 in s:
        check_bounds(where, s[6], s[5], column, type, values)
        longest = max(len(v) if isinstance(v, (str, bytes)) else 0
                      for v in values if v is not None)
        if longest <= 64 and not (s[7] and s[8]):
            complain(where, "exact bounds are not said to be so")
    elif "/parts" not in where and any(v is not None and v == v
                                       for v in values):
        complain(where, "no bounds")


def check_pages(where, data, chunk, column, type, values, rows):
    offsets = Thrift(data, chunk[4]).struct()[1]
    begins = [o[3] for o in offsets] + [rows]
    at = chunk[3][9]
    for o in offsets:
        t = Thrift(data, o[1])
        header = t.struct()
        if o[1] != at or t.at + header[3] != o[1] + o[2]:
            complain(where, "a page is elsewhere")
        at = o[1] + o[2]
    if begins[0] != 0 or sorted(begins) != begins:
        complain(where, "pages begin at", begins)
    if 6 not in chunk:
        return len(offsets)
    index = Thrift(data, chunk[6]).struct()
    for i in range(len(offsets)):
        part = values[begins[i]:begins[i + 1]]
        nulls = sum(v is None for v in part)
        if index[1][i] != (nulls == len(part)) or index[5][i] != nulls:
            complain(where, "page", i, "nulls", index[5][i], nulls)
        check_bounds(f"{where} page {i}", index[2][i], index[3][i], column,
                     type, part)
    return len(offsets)


def check_metadata(path):
    """Returns the most pages that a column chunk has."""
    pages = 0
    f = pq.ParquetFile(path)
    data = open(path, "rb").read()
    length = int.from_bytes(data[-8:-4], "little")
    footer = Thrift(data, len(data) - 8 - length).struct()
    flat = {c.path: c for c in (f.schema.column(i)
                                for i in range(len(f.schema)))}
    if footer[3] != f.metadata.num_rows or len(footer[7]) != len(flat):
        complain(path, "footer")
    for g, group in enumerate(footer[4]):
        table = f.read_row_group(g)
        for chunk in group[1]:
            name = b".".join(chunk[3][3]).decode()
            column = flat[name]
            where = f"{path}, row group {g}, {name}:"
            nested = len(chunk[3][3]) > 1
            if nested:
                if 12 in chunk[3] or 6 in chunk:
                    complain(where, "statistics of a list")
                if 4 in chunk:
                    check_pages(where, data, chunk, column, None, [], group[3])
                continue
            values = table.column(name).to_pylist()
            type = table.schema.field(name).type
            check_statistics(where, chunk, column, type, values)
            if 4 in chunk:
                pages = max(pages, check_pages(where, data, chunk, column, type,
                                               values, group[3]))
    return pages


# ---- the document ----

LOGICAL = (
    (r"None$", ""),
    (r"String$", " STRING"),
    (r"Date$", " DATE"),
    (r"Int\(bitWidth=(\d+), isSigned=true\)$", r" INT(\1, signed)"),
    (r"Decimal\(precision=(\d+), scale=(\d+)\)$", r" DECIMAL(\1, \2)"),
    (r"Timestamp\(isAdjustedToUTC=(\w+), timeUnit=microseconds.*",
     r" TIMESTAMP(us, UTC \1)"),
    (r"Time\(isAdjustedToUTC=(\w+), timeUnit=microseconds.*",
     r" TIME(us, UTC \1)"),
    (r"UUID$", " UUID"),
    (r"JSON$", " JSON"),
)


def type_name(column):
    logical = str(column.logical_type)
    for pattern, name in LOGICAL:
        m = re.match(pattern, logical)
        if m:
            physical = column.physical_type
            if physical == "FIXED_LEN_BYTE_ARRAY":
                physical += f"({column.length})"
            lists = "list of " if ".list.element" in column.path else ""
            return lists + physical + m.expand(name)
    return logical


def check_documents(folder, document):
    text = open(document).read()
    portable, exact = text.split("## Exact types")
    all_rows = rows_of(portable)
    check_document(folder, document, "snappy", all_rows)
    check_document(folder, document, "exact", all_rows | rows_of(exact))


def rows_of(text):
    return dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", text, re.M))


def check_document(folder, document, name, rows):
    """Each row of the table is the type that its columns have."""
    schema = pq.ParquetFile(os.path.join(folder, name + ".parquet")).schema
    names = {}
    for i in range(len(schema)):
        names[schema.column(i).path.split(".list.")[0]] = type_name(
            schema.column(i))
    types = [line.rstrip("\n").split("\t")
             for line in open(os.path.join(folder, "types.txt"))]
    for name, type in types:
        if rows.get(type) != names[name]:
            complain(document, type, "is", names[name], "and not",
                     rows.get(type))
    for type in rows:
        if type not in dict(map(reversed, types)) and type[0] != "_":
            complain(document, type, "is not tried")
        if type[0] == "_" and names.get(type, rows[type]) != rows[type]:
            complain(document, type, "is", names[type])


def main(folder, document):
    pages = 0
    check_documents(folder, document)
    paths = sorted(glob.glob(os.path.join(folder, "*.parquet")))
    for path in paths:
        table = pq.read_table(path)
        check_rows(path, table, list(records(path[:-7] + "jsonl")))
        check_duckdb(path, table)
        check_polars(path, table)
        pages = max(pages, check_metadata(path))
    if pages < 2:
        complain("no column has several pages")
    print(f"{len(paths)} objects, {wrong} complaints")
    return 1 if wrong or not paths else 0


sys.exit(main(sys.argv[1], sys.argv[2]))
