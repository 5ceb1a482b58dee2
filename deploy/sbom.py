#!/usr/bin/env python3
"""What is in what we ship, as an SPDX 2.3 document in JSON.

    deploy/sbom.py PROGRAM [PLUGIN]
    deploy/sbom.py --dpkg-status FILE NAME

The first is of the program and the output plugin as they were built here: each
with the libraries that it is linked with, by Debian package and version,
those of these too.  The second is of an image: all packages of its Debian,
which FILE (var/lib/dpkg/status) names, and the program.

SOURCE_DATE_EPOCH makes it the same each time.  Needs binutils, dpkg and
nothing else.
"""
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VERSION = json.load(open(os.path.join(TOP, "META.json")))["version"]
ORIGIN = "https://spdx.org/spdxdocs/cdc-s3"


def out(*command):
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return r.stdout.decode()


def spdx_id(name):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)


def release():
    text = open("/etc/os-release").read()
    return dict(re.findall(r'^(\w+)="?([^"\n]*)', text, re.M))


class Document:
    def __init__(self, name):
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        now = datetime.datetime.fromtimestamp(
            int(epoch) if epoch else datetime.datetime.now().timestamp(),
            datetime.timezone.utc,
        )
        self.packages = {}
        self.relations = []
        self.head = {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": name,
            "creationInfo": {
                "created": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "creators": ["Organization: cdc_s3", "Tool: sbom.py-" + VERSION],
            },
        }

    def relate(self, one, kind, other):
        r = {
            "spdxElementId": one,
            "relationshipType": kind,
            "relatedSpdxElement": other,
        }
        if r not in self.relations:
            self.relations.append(r)

    def ours(self, name, path=None):
        """A program or library of this project."""
        p = {
            "SPDXID": spdx_id(name),
            "name": name,
            "versionInfo": VERSION,
            "supplier": "Organization: cdc_s3",
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "licenseConcluded": "PostgreSQL",
            "licenseDeclared": "PostgreSQL",
            "copyrightText": "NOASSERTION",
            "primaryPackagePurpose": "APPLICATION",
            "externalRefs": [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": f"pkg:generic/{name}@{VERSION}",
                }
            ],
        }
        if path:
            digest = hashlib.sha256(open(path, "rb").read()).hexdigest()
            p["checksums"] = [{"algorithm": "SHA256", "checksumValue": digest}]
        self.packages[p["SPDXID"]] = p
        self.relate("SPDXRef-DOCUMENT", "DESCRIBES", p["SPDXID"])
        return p["SPDXID"]

    def debian(self, name, version, arch, source, distro):
        """A package of Debian's; its licences are in its copyright file."""
        i = spdx_id("deb-" + name)
        self.packages[i] = {
            "SPDXID": i,
            "name": name,
            "versionInfo": version,
            "supplier": "Organization: Debian",
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION",
            "sourceInfo": f"source package {source}",
            "externalRefs": [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": f"pkg:deb/debian/{name}@"
                    + version.replace("+", "%2B").replace(":", "%3A")
                    + f"?arch={arch}&distro={distro}",
                }
            ],
        }
        return i

    def print(self):
        packages = [self.packages[i] for i in sorted(self.packages)]
        content = json.dumps([packages, self.relations], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()
        name = self.head["name"]
        self.head["documentNamespace"] = f"{ORIGIN}/{name}-{VERSION}-{digest[:32]}"
        document = {**self.head, "packages": packages, "relationships": self.relations}
        print(json.dumps(document, indent=1, sort_keys=True))


def candidates(path):
    """Where dpkg may know the file: its /lib is a link to /usr/lib."""
    real = os.path.realpath(path)
    return [path, real, real.removeprefix("/usr"), "/usr" + real]


def owners(paths):
    """Path to the fields of its Debian package, of those that have one."""
    every = [c for p in paths for c in candidates(p)]
    at = {}
    for line in out("dpkg-query", "-S", *every).splitlines():
        packages, _, where = line.partition(": ")
        at[where] = packages.split(",")[0]
    form = "${Package}\t${Version}\t${Architecture}\t${source:Package}\n"
    names = sorted(set(at.values()))
    fields = {
        f.split("\t")[0]: f.split("\t")
        for f in out("dpkg-query", "-W", "-f", form, *names).splitlines()
    }
    found = {}
    for p in paths:
        name = next((at[c] for c in candidates(p) if c in at), None)
        if name:
            found[p] = fields[name.split(":")[0]]
    return found


def linked(path):
    """(what it needs by itself, all that is loaded): names to paths."""
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", out("readelf", "-d", path)))
    loaded = dict(re.findall(r"^\s*(\S+) => (/\S+)", out("ldd", path), re.M))
    return needed, loaded


def add_linked(doc, me, path):
    needed, loaded = linked(path)
    distro = "debian-" + release().get("VERSION_ID", "unknown")
    lost = sorted(needed - set(loaded))
    if lost:
        sys.exit(f"sbom.py: {path}: not found: {' '.join(lost)}")
    found = owners(sorted(loaded.values()))
    for name, where in sorted(loaded.items()):
        fields = found.get(where)
        if not fields:
            sys.exit(f"sbom.py: {where} is of no Debian package")
        other = doc.debian(*fields, distro)
        if name in needed:
            doc.relate(me, "DYNAMIC_LINK", other)
        else:
            doc.relate(me, "DEPENDS_ON", other)


def of_programs(paths):
    doc = Document("cdc-s3")
    for path in paths:
        name = os.path.basename(path)
        plugin = name.endswith(".so")
        name = "postgresql-cdc-s3" if plugin else name
        add_linked(doc, doc.ours(name, path), path)
    doc.print()


def of_image(status, name):
    doc = Document(name)
    me = doc.ours("cdc-s3")
    text = open(status).read()
    distro = "debian-" + release().get("VERSION_ID", "unknown")
    for entry in text.split("\n\n"):
        f = dict(re.findall(r"^([\w-]+): (.*)", entry, re.M))
        if f.get("Status", "").endswith(" installed"):
            source = f.get("Source", f["Package"]).split(" ")[0]
            other = doc.debian(
                f["Package"], f["Version"], f["Architecture"], source, distro
            )
            doc.relate(me, "DEPENDS_ON", other)
    doc.print()


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--dpkg-status":
        of_image(*sys.argv[2:])
    elif len(sys.argv) in (2, 3) and not sys.argv[1].startswith("-"):
        of_programs(sys.argv[1:])
    else:
        sys.exit(__doc__)
