"""Judges Kubernetes manifests: by the schemas of Kubernetes, and by what this
program needs of its pods.

    manifests.py SETTINGS CNPG-SCHEMA FILE...

SETTINGS is what "cdc-s3 help --markdown" prints.  Prints a line a finding.
"""
import configparser
import json
import re
import sys

import jsonschema
import kubernetes_validate
import yaml

VERSION = "1.33"
settings = dict(
    (m.group(1), m.group(2))
    for m in re.finditer(r"^\| `([^`]+)` \| `([^`]+)` \|", open(sys.argv[1]).read(), re.M)
)
cnpg = json.load(open(sys.argv[2]))
commands = {"init", "run", "merge", "check"}
found = []
timeouts = {}  # of a ConfigMap's settings, in seconds


def say(doc, what):
    meta = doc.get("metadata", {})
    found.append(f"{path}: {doc.get('kind')} {meta.get('name')}: {what}")


def config_map(doc):
    for name, text in doc.get("data", {}).items():
        if not name.endswith(".conf"):
            continue
        ini = configparser.ConfigParser(interpolation=None)
        ini.read_string(text)
        for section in ini.sections():
            for key in ini[section]:
                if f"{section}.{key}" not in settings:
                    say(doc, f"no setting {section}.{key}")
                if (section, key) in (("source", "conninfo"), ("target", "conninfo")):
                    say(doc, f"{section}.{key} belongs into a Secret")
        timeouts[doc["metadata"]["name"]] = int(
            ini.get("shutdown", "timeout", fallback="10s").rstrip("s")
        )


def secret(doc):
    for name in doc.get("stringData", {}):
        if name.startswith("CDC_S3_") and name not in settings.values():
            say(doc, f"no variable {name}")


def container(doc, pod, c):
    own = c.get("securityContext", {})
    if c.get("args", [None])[0] not in commands:
        say(doc, f"{c['name']}: no command {c.get('args')}")
    if not own.get("readOnlyRootFilesystem"):
        say(doc, f"{c['name']}: may write its root")
    if own.get("allowPrivilegeEscalation") is not False:
        say(doc, f"{c['name']}: may gain privileges")
    if own.get("capabilities") != {"drop": ["ALL"]}:
        say(doc, f"{c['name']}: has capabilities")
    if not {**pod.get("securityContext", {}), **own}.get("runAsNonRoot"):
        say(doc, f"{c['name']}: may be root")
    if "memory" not in c.get("resources", {}).get("limits", {}):
        say(doc, f"{c['name']}: no limit of memory")
    for e in c.get("env", []):
        if e["name"].startswith("CDC_S3_") and e["name"] not in settings.values():
            say(doc, f"{c['name']}: no variable {e['name']}")


def ours(c):
    return re.search(r"(^|/)cdc-s3:", c["image"])


def pods(doc, pod):
    mine = [c for c in pod.get("initContainers", []) + pod["containers"] if ours(c)]
    if not mine:
        say(doc, "no container of cdc-s3")
    for c in mine:
        container(doc, pod, c)
    return mine


def probe(doc, c, name, path):
    got = c.get(name, {}).get("httpGet", {})
    if got.get("path") != path:
        say(doc, f"{c['name']}: no {name} that asks {path}")
    elif got.get("port") not in [p["containerPort"] for p in c.get("ports", [])]:
        say(doc, f"{c['name']}: its {name} asks a port that is not its own")


def probes(doc, pod):
    for c in pod["containers"]:
        if not ours(c) or c.get("args", [None])[0] != "run":
            continue
        if len(pod["containers"]) == 1:
            probe(doc, c, "livenessProbe", "/livez")
        if "readinessProbe" in c:
            probe(doc, c, "readinessProbe", "/readyz")


def workload(doc):
    pod = doc["spec"]["template"]["spec"]
    mine = pods(doc, pod)
    probes(doc, pod)
    if doc["spec"].get("replicas") != 1:
        say(doc, "more than one writer of a lake")
    if doc["kind"] == "Deployment" and doc["spec"].get("strategy") != {"type": "Recreate"}:
        say(doc, "a new writer comes before the old one is gone")
    longest = max(timeouts.values(), default=10)
    if pod.get("terminationGracePeriodSeconds", 30) <= longest:
        say(doc, f"is killed within shutdown.timeout ({longest} s)")
    if len(mine) < len(pod["containers"]) and any("readinessProbe" in c for c in mine):
        say(doc, "its readinessProbe takes the database out of service")


def cron_job(doc):
    spec = doc["spec"]["jobTemplate"]["spec"]
    pods(doc, spec["template"]["spec"])
    if doc["spec"].get("concurrencyPolicy") != "Forbid":
        say(doc, "merges beside itself")
    for rule in spec.get("podFailurePolicy", {"rules": []})["rules"]:
        if sorted(rule["onExitCodes"]["values"]) != list(range(1, 9)):
            say(doc, "tries again what a person must mend, or not what says 75")


special = {
    "ConfigMap": config_map,
    "Secret": secret,
    "Deployment": workload,
    "StatefulSet": workload,
    "CronJob": cron_job,
}
custom = {"PodMonitor", "Cluster"}
kinds = set()
docs = []
for path in sys.argv[3:]:
    for doc in yaml.safe_load_all(open(path)):
        if doc:
            docs.append((path, doc))
docs.sort(key=lambda d: d[1]["kind"] != "ConfigMap")  # they tell the timeouts
for path, doc in docs:
    kinds.add(doc["kind"])
    try:
        if doc["kind"] == "Cluster":
            jsonschema.validate(doc, cnpg)
        elif doc["kind"] not in custom:
            kubernetes_validate.validate(doc, VERSION, strict=True)
    except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as e:
        say(doc, e.message)
    if doc["kind"] == "HorizontalPodAutoscaler":
        say(doc, "nothing scales a writer")
    if doc["kind"] in special:
        special[doc["kind"]](doc)
print("\n".join(found), end="\n" if found else "")
print("kinds: " + " ".join(sorted(kinds)))
