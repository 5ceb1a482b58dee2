#!/bin/bash
# "make sbom": an SPDX document that SPDX's own tools find valid, which has each
# library that program and plugin are linked with.  Output is TAP.
#
#	test/deploy/sbom.sh
set -eu
cd "$(dirname "$0")/../.."

tap=sbom
. test/deploy/tap.sh
python=$(sh test/deps-deploy.sh --path)
valid()
{
	"$python" -c 'import sys
from spdx_tools.spdx.clitools.pyspdxtools import main
sys.argv = ["pyspdxtools", "-i", sys.argv[1]]
main()' "$1"
}
# Each library that is needed, and what it says of the program's file.
complete()
{
	python3 - "$1" <<'PY'
import hashlib, json, re, subprocess, sys
d = json.load(open(sys.argv[1]))
by_id = {p["SPDXID"]: p for p in d["packages"]}
bad = []
for path, name in (("uploader/cdc-s3", "cdc-s3"), ("cdc_s3.so", "postgresql-cdc-s3")):
    me = next(p for p in d["packages"] if p["name"] == name)
    digest = hashlib.sha256(open(path, "rb").read()).hexdigest()
    if me["checksums"][0]["checksumValue"] != digest:
        bad.append(f"{name}: another file")
    if me["versionInfo"] != json.load(open("META.json"))["version"]:
        bad.append(f"{name}: another version")
    dynamic = subprocess.run(["readelf", "-d", path], capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[lib(\w+)", dynamic)
    linked = {
        by_id[r["relatedSpdxElement"]]["name"]
        for r in d["relationships"]
        if r["spdxElementId"] == me["SPDXID"] and r["relationshipType"] == "DYNAMIC_LINK"
    }
    # by the names of Debian, which begin alike, but for these
    other = {"z": "zlib1g", "m": "libc6", "crypto": "libssl"}
    for lib in needed:
        want = other.get(lib, "lib" + lib)
        if not any(x.startswith(want) for x in linked):
            bad.append(f"{name}: lib{lib} is missing")
print("\n".join(bad))
sys.exit(bool(bad))
PY
}
same()
{
	SOURCE_DATE_EPOCH=1 python3 deploy/sbom.py uploader/cdc-s3 cdc_s3.so >"$work/one" &&
		SOURCE_DATE_EPOCH=1 python3 deploy/sbom.py uploader/cdc-s3 cdc_s3.so >"$work/two" &&
		cmp "$work/one" "$work/two"
}

ok "made" make -s sbom
ok "valid by SPDX's own tools" valid build/cdc-s3.spdx.json
ok "each library is in it" complete build/cdc-s3.spdx.json
sed 's/"SPDX-2.3"/"SPDX-9"/' build/cdc-s3.spdx.json >"$work/wrong.spdx.json"
ok "another one is not valid" not valid "$work/wrong.spdx.json"
ok "the same each time" same
python3 deploy/sbom.py --dpkg-status /var/lib/dpkg/status image >"$work/image.spdx.json"
ok "one of a whole Debian is valid" valid "$work/image.spdx.json"
ok "and has its packages" grep -q '"name": "libc6"' "$work/image.spdx.json"
echo "1..$n"
