#!/usr/bin/env python3
# How long the objects that test/bench/parquet.c left are, beside what pyarrow
# makes of the same rows, which it has in memory, and what that costs it.
#
#	parquet_size.py FOLDER
#
# A line each: name, our bytes, its bytes, ours of its, its CPU in us a row.
import os
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq

folder = sys.argv[1]
pa.set_cpu_count(1)
for name, codec, level in (("none", "none", None), ("snappy", "snappy", None),
                           ("zstd-1", "zstd", 1), ("zstd-3", "zstd", 3),
                           ("exact-zstd-1", "zstd", 1)):
    path = os.path.join(folder, name + ".parquet")
    other = path + ".pyarrow"
    table = pq.read_table(path)
    start = time.process_time()
    pq.write_table(table, other, compression=codec, compression_level=level)
    cpu = (time.process_time() - start) * 1e6 / table.num_rows
    ours, theirs = os.path.getsize(path), os.path.getsize(other)
    print(f"{name:12} {ours:12} {theirs:12} {ours / theirs:6.3f} {cpu:8.3f}")
    os.unlink(other)
