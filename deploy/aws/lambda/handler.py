"""cdc-s3 merge as a function of AWS Lambda, for merges of a few minutes.

The event may hold "until" (as merge.until).  An exit code other than 0 is an
error of the function, whose message is the program's last line: 75 says that
trying again may work, which is what Lambda does by itself.
"""
import os
import subprocess

PROGRAM = os.environ.get("CDCS3_PROGRAM", "/usr/bin/cdc-s3")
SPARE_MS = 10_000  # so that the program can say what it was at


class MergeFailed(Exception):
    pass


def merge(event, context):
    command = [PROGRAM, "merge"]
    until = (event or {}).get("until")
    if until:
        command += ["--until", until]
    seconds = max(1, (context.get_remaining_time_in_millis() - SPARE_MS) // 1000)
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired as e:
        raise MergeFailed(
            f"not done within {seconds} s, and nothing was changed; "
            "merge where a run may take longer, as on ECS"
        ) from e
    print(done.stderr, end="")
    print(done.stdout, end="")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise MergeFailed(f"exit code {done.returncode}: {lines[-1]}")
    return {"exit_code": 0}
