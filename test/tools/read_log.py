#!/usr/bin/env python3
"""A reader of the lake, written from doc/commit-log.md alone.

    read_log.py FOLDER [KEY]

Prints each change once, in order, as "cdc-s3 replay" does.  It needs nothing
but Python's own library, and "zstd" for objects that are compressed so.  What
is not as it was written ends it with exit code 3.
"""
import gzip
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys


class Gap(Exception):
    pass


TABLE = []
for n in range(256):
    for _ in range(8):
        n = (n >> 1) ^ 0x82F63B78 if n & 1 else n >> 1
    TABLE.append(n)


def crc32c(data):
    c = 0xFFFFFFFF
    for byte in data:
        c = TABLE[(c ^ byte) & 0xFF] ^ (c >> 8)
    return "%08x" % (c ^ 0xFFFFFFFF)


class Lake:
    def __init__(self, folder, key=None):
        self.folder = folder
        self.key = key

    def get(self, key):
        try:
            with open(os.path.join(self.folder, key), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def must_get(self, key, crc, sha256=None):
        data = self.get(key)
        if data is None:
            raise Gap("object %s is missing" % key)
        if crc32c(data) != crc:
            raise Gap("object %s is damaged" % key)
        if self.key and hashlib.sha256(data).hexdigest() != sha256:
            raise Gap("object %s is not the one that was written" % key)
        return data

    def entry(self, number):
        """The entry, or None at the end of the log."""
        key = "_cdc/log/%020d.json" % number
        data = self.get(key)
        if data is None:
            return None
        end = re.search(rb',\n"crc32c":"([0-9a-f]{8})"\}\n\Z', data)
        if not end or crc32c(data[: end.start()]).encode() != end.group(1):
            raise Gap("%s: its checksum is not that of its content" % key)
        if self.key:
            signed = data[: end.start()]
            mac = re.search(rb',\n"hmac":"([0-9a-f]{64})"\Z', signed)
            own = mac and hmac.new(self.key.encode(), signed[: mac.start()], hashlib.sha256).hexdigest()
            if not mac or not hmac.compare_digest(own, mac.group(1).decode()):
                raise Gap("%s: its HMAC is not of this key" % key)
        e = json.loads(data)
        if e["version"] != 2 or e["entry"] != number:
            raise Gap("%s: another version or number" % key)
        return e

    def objects(self, e):
        """All objects of an entry: what stands in lists comes first."""
        found = []
        for l in e["lists"]:
            doc = json.loads(self.must_get(l["key"], l["crc32c"], l.get("sha256")))
            if len(doc["objects"]) != l["objects"]:
                raise Gap("list %s: another number of objects" % l["key"])
            found += doc["objects"]
        return found + e["objects"]

    def lines(self, o):
        """The records of an object of the format json."""
        data = self.must_get(o["key"], o["crc32c"], o.get("sha256"))
        if len(data) != o["bytes"]:
            raise Gap("object %s: another size" % o["key"])
        if o["key"].endswith(".gz"):
            data = gzip.decompress(data)
        elif o["key"].endswith(".zst"):
            data = subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout
        lines = data.decode("utf-8").split("\n")[:-1]
        if len(lines) != o["rows"]:
            raise Gap("object %s: another number of rows" % o["key"])
        return lines


PLACE = re.compile(r'\{"_op":"\w","_lsn":"([0-9A-F]{16})","_seq":(\d+)')


def changes(lake):
    """(schema, table, line) of each change, in order."""
    head = 0
    while lake.get("_cdc/log/%020d.json" % (head + 1)) is not None:
        head += 1  # fine for a folder; doc/commit-log.md has the faster way
    last = lake.entry(head)
    if last is None:
        raise Gap("there is no log")
    expired = last.get("expired_entry", 0)
    before = None
    for number in range(head + 1):
        e = lake.entry(number)
        if e is None:
            raise Gap("entry %d is missing" % number)
        if before and e["prev_end_lsn"] != before["end_lsn"]:
            raise Gap("entry %d does not begin where the one before ends" % number)
        if before and e["source"]["system_identifier"] != before["source"]["system_identifier"]:
            raise Gap("entry %d is of another server" % number)
        before = e
        objects = lake.objects(e)
        if objects and number <= expired:
            raise Gap("entry %d has expired" % number)
        rows = []
        for i, o in enumerate(objects):
            for line in lake.lines(o):
                lsn, seq = PLACE.match(line).groups()
                rows.append((lsn, int(seq), i, line))
        rows.sort(key=lambda r: r[:3])
        for lsn, _, i, line in rows:
            o = objects[i]
            if "load" not in o and not e["prev_end_lsn"] < lsn <= e["end_lsn"]:
                raise Gap("object %s: a row that its entry does not cover" % o["key"])
            yield o["schema"], o["table"], line


def quoted(name):
    return json.dumps(name, ensure_ascii=False)


def main():
    lake = Lake(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    out = open(sys.stdout.fileno(), "w", encoding="utf-8", newline="\n", closefd=False)
    try:
        for schema, table, line in changes(lake):
            out.write('{"_schema":%s,"_table":%s,%s\n' % (quoted(schema), quoted(table), line[1:]))
        out.flush()
    except Gap as gap:
        print("read_log: %s" % gap, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
