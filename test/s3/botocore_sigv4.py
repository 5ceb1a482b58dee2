"""Compares our signatures with botocore's, for random keys.

usage: botocore_sigv4.py sigv4_tool [number]
"""
import random
import subprocess
import sys

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import percent_encode

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
DATE = "20261121T081407Z"
PIECES = (
    "=", "//", "..", "/./", "/../", "%", "%2F", "+", " ", "é", "€", "😀", "~",
    "*", "'", '"', "(", ")", "!", "?", "#", "&", ";", ":", ",", "@", "$", "\\",
    "^", "`", "{", "}", "|", "<", ">", "[", "]", "\n", "\t", "\x7f", "year=2026",
    "a", "b", "Z", "0", "-", "_", ".", "/",
)


def random_text(rng, most):
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, most)))


def botocore_signature(auth, method, key, prefix):
    params = {}
    if prefix is not None:
        params = {"prefix": prefix, "list-type": "2"}
    request = AWSRequest(
        method=method,
        url="https://bucket.s3.us-east-1.amazonaws.com/"
        + percent_encode(key, safe="/~"),
        params=params,
        headers={"X-Amz-Date": DATE, "X-Amz-Content-SHA256": EMPTY},
    )
    request.context["timestamp"] = DATE
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return auth.signature(text, request)


def main():
    tool = sys.argv[1]
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 10000
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    auth = S3SigV4Auth(
        Credentials("AKIDEXAMPLE", "secret/+EXAMPLE"), "s3", "us-east-1"
    )
    cases = []
    for i in range(number):
        key = random_text(rng, 30).lstrip("/") or "x"
        prefix = random_text(rng, 10) if i % 3 == 0 else None
        cases.append((rng.choice(("GET", "PUT", "DELETE")), key, prefix))
    lines = "".join(
        "%s\t%s\t%s\n"
        % (m, k.encode().hex(), "-" if p is None else p.encode().hex())
        for m, k, p in cases
    )
    ours = subprocess.run(
        [tool], input=lines, capture_output=True, text=True, check=True
    ).stdout.split()
    wrong = 0
    for case, signature in zip(cases, ours):
        if signature != botocore_signature(auth, *case):
            wrong += 1
            if wrong <= 5:
                print("differs: %r" % (case,))
    print("seed %d: %d signatures, %d differ" % (seed, len(ours), wrong))
    return 0 if wrong == 0 and len(ours) == number else 1


sys.exit(main())
