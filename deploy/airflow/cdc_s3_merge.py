"""Merges the lake into the target, an hour a run.

A run waits until the log says that its hour is complete, then merges up to the
hour's end.  A target that is there already has nothing to do, which is exit
code 0: so catching up after a week is right, and cheap.  Runs come one after
the other; exit code 75 is tried again, all else fails with the program's
message.

Needs nothing but Airflow itself (2.6 or later, or 3) and the program on the
worker, which finds its settings as always: set CDC_S3_CONFIG, or CDC_S3_…
variables, in the worker's environment.  CDCS3_PROGRAM names the program where
it is not in the PATH.
"""
import os
import subprocess
from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.models import BaseOperator
    from airflow.sensors.base import BaseSensorOperator
try:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException

TRY_AGAIN = 75


def call(*args):
    """Runs the program; its exit code, and the last line that it said."""
    command = [os.environ.get("CDCS3_PROGRAM", "cdc-s3"), *args]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    print(done.stdout, end="")
    print(done.stderr, end="")
    lines = done.stderr.strip().splitlines()
    return done.returncode, lines[-1] if lines else "no message"


def interval_end(context):
    """The end of the run's hour; a run by hand takes the last full hour."""
    end = context.get("data_interval_end")
    if end is None:
        end = context["dag_run"].run_after.replace(minute=0, second=0, microsecond=0)
    return end.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class HourClosed(BaseSensorOperator):
    """Waits for the log to say that all hours before the run's end are complete."""

    def poke(self, context):
        code, message = call("ls", "--closed-until", interval_end(context))
        if code not in (0, TRY_AGAIN):
            raise AirflowFailException(f"cdc-s3 ls: exit code {code}: {message}")
        return code == 0


class Merge(BaseOperator):
    """Merges up to the run's end."""

    def execute(self, context):
        code, message = call("merge", "--until", interval_end(context))
        if code == TRY_AGAIN:
            raise AirflowException(f"cdc-s3 merge may work later: {message}")
        if code != 0:
            raise AirflowFailException(f"cdc-s3 merge: exit code {code}: {message}")


with DAG(
    dag_id="cdc_s3_merge",
    description="cdc-s3: merge the last closed hour into PostgreSQL",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["cdc-s3"],
) as dag:
    HourClosed(
        task_id="hour_closed", mode="reschedule", poke_interval=60, timeout=6 * 3600
    ) >> Merge(task_id="merge", retries=5, retry_delay=timedelta(minutes=2))
