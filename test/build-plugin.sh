#!/bin/bash
# Builds the plugin for the server of PG_CONFIG in a tree of its own, which
# links to the sources, and prints the path of that tree.  Objects of different
# servers never meet so.
#
#	test/build-plugin.sh NAME
set -eu
cd "$(dirname "$0")/.."

top=$PWD
tree=$top/build/plugin/$1
mkdir -p "$tree/plugin"
ln -sfn "$top/uploader" "$tree/uploader"
ln -sf "$top/Makefile" "$tree/"
find "$tree/plugin" -xtype l -delete # of sources that went
ln -sf "$top"/plugin/*.[ch] "$top"/plugin/*.sql "$top"/plugin/*.control \
	"$tree/plugin/"
make -s -C "$tree" -j"$(nproc)" PG_CONFIG="${PG_CONFIG:-pg_config}" \
	cdc_s3.so >&2
echo "$tree"
