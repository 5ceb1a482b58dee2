#!/bin/bash
# Writes the table of settings into README.md, as the program prints it.
set -eu
cd "$(dirname "$0")/../.."

table=$(mktemp)
trap 'rm -f "$table"' EXIT
uploader/cdc-s3 help --markdown >"$table"
sed -i -e '/<!-- settings -->/,/<!-- end of settings -->/{//!d}' \
	-e "/<!-- settings -->/r $table" README.md
