#!/usr/bin/env python3
# How long the objects that test/bench/parquet.c left are, beside what pyarrow
# makes of the same rows.
#
#	parquet_size.py FOLDER
import os
import sys

import pyarrow.parquet as pq

folder = sys.argv[1]
for name, codec, level in (("none", "none", None), ("snappy", "snappy", None),
                           ("zstd-1", "zstd", 1), ("zstd-3", "zstd", 3)):
    path = os.path.join(folder, name + ".parquet")
    other = path + ".pyarrow"
    pq.write_table(pq.read_table(path), other, compression=codec,
                   compression_level=level)
    ours, theirs = os.path.getsize(path), os.path.getsize(other)
    print(f"{name:8} {ours:12} {theirs:12} {ours / theirs:6.3f}")
    os.unlink(other)
