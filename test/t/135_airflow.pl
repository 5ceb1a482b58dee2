#-------------------------------------------------------------------------
# "ls --closed-until", for schedulers, and the DAG of deploy/airflow with an
# Airflow that is a few lines: what it calls, and what it makes of exit codes.
# test/deploy/airflow.sh runs it in a real one.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $folder = temp_folder();
my $store = file_store("$folder/lake");
my $program = CdcS3::Sidecar::program();

sub ls
{
	my (@args) = @_;
	return capture([ $program, 'ls', "--store.url=$store->{url}", @args ]);
}

#
# The sensor
#
my $empty = capture([ $program, 'ls', '--store.url=file:///no/such/lake',
		'--closed-until', '2026-11-21T08:00:00Z' ]);
isnt($empty->{code}, 0, 'no lake: not closed');
my $lake = CdcS3::Lake->new(folder => $store->{folder});
my $r = ls('--closed-until', '2026-11-21T08:00:00Z');
is($r->{code}, 75, 'nothing is closed yet');
is($r->{out}, q{}, 'and nothing is said to be');
$lake->entry(end => 0x2000, closed => '2026-11-21T08:00:00Z');
$lake->entry(end => 0x3000);
for my $row (
	[ '2026-11-21T07:00:00Z', 0 ],
	[ '2026-11-21T08:00:00Z', 0 ],
	[ '2026-11-21T08:00:00.000001Z', 75 ],
	[ '2026-11-21T09:00:00Z', 75 ])
{
	$r = ls('--closed-until', $row->[0]);
	is($r->{code}, $row->[1], "closed until $row->[0]: $row->[1]") or diag $r->{err};
	is($r->{out}, "2026-11-21T08:00:00Z\n", 'and says until when');
}
like($r->{err}, qr/before 2026-11-21T09:00:00Z are not complete.*before 2026-11-21T08:00:00Z/,
	'what is missing');
is(ls('--closed-until=2026-11-21T08:00:00Z', '--json')->{out},
	qq({"closed_until":"2026-11-21T08:00:00Z"}\n), 'as JSON');
is(ls('--closed-until', 'eight')->{code}, 2, 'no time');
is(ls('objects', '--closed-until', '2026-11-21T08:00:00Z')->{code}, 2, 'no listing besides');

#
# The DAG
#
my $fake = "$folder/airflow";
mkdir $fake or die "$fake: $!\n";
mkdir "$fake/sdk" or die "$fake: $!\n";

sub put
{
	my ($path, $text) = @_;
	open my $f, '>', "$folder/$path" or die "$path: $!\n";
	print {$f} $text;
	close $f or die "$path: $!\n";
	chmod 0755, "$folder/$path";
	return "$folder/$path";
}
put('airflow/__init__.py', q{});
put('airflow/sdk/__init__.py', <<'PY');
class DAG:
    def __init__(self, **o): self.o = o; self.tasks = []; DAG.one = self
    def __enter__(self): return self
    def __exit__(self, *a): pass
class BaseOperator:
    def __init__(self, **o): self.o = o; DAG.one.tasks.append(self)
    def __rshift__(self, other): return other
class BaseSensorOperator(BaseOperator): pass
PY
put('airflow/sdk/exceptions.py', <<'PY');
class AirflowException(Exception): pass
class AirflowFailException(AirflowException): pass
PY
my $stub = put('cdc-s3', <<'SH');
#!/bin/sh
echo "called: $*"
echo "first" >&2
echo "cdc-s3: the reason" >&2
exit "$CODE"
SH
my $call = put('call.py', <<'PY');
import sys, types
from datetime import datetime, timezone, timedelta
sys.dont_write_bytecode = True
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import cdc_s3_merge as m
zone = timezone(timedelta(hours=2))
context = {"data_interval_end": datetime(2026, 11, 21, 10, tzinfo=zone)}
if sys.argv[3] == "hand":
    run = types.SimpleNamespace(run_after=datetime(2026, 11, 21, 10, 59, 3, tzinfo=zone))
    context = {"data_interval_end": None, "dag_run": run}
sensor, merge = m.dag.tasks
if sys.argv[3] == "shape":
    print(m.dag.o["schedule"], m.dag.o["max_active_runs"], sensor.o["mode"], merge.o["retries"])
    sys.exit()
for what in (sensor.poke, merge.execute):
    try:
        print("gives", what(context))
    except Exception as e:
        print(type(e).__name__, e)
PY

sub dag
{
	my ($how, $code) = @_;
	my $got = capture([ 'python3', $call, $folder, top_folder() . '/deploy/airflow', $how ],
		env => { CDCS3_PROGRAM => $stub, CODE => $code // 0 });
	diag $got->{err} if $got->{code};
	return $got->{out};
}
is(dag('shape'), "\@hourly 1 reschedule 5\n", 'hourly, one after the other, and no worker waits');
my $good = dag('run');
like($good, qr/^called: ls --closed-until 2026-11-21T08:00:00Z$/m, 'the sensor asks for its hour');
like($good, qr/^gives True$/m, 'which is closed');
like($good, qr/^called: merge --until 2026-11-21T08:00:00Z$/m, 'the merge goes as far');
like($good, qr/^gives None$/m, 'and is done');
like(dag('hand'), qr/^called: merge --until 2026-11-21T08:00:00Z$/m,
	'a run by hand takes the last full hour');
# The program knows no variable of the DAG's, and refuses those it does not know.
my $real = capture([ 'python3', $call, $folder, top_folder() . '/deploy/airflow', 'run' ],
	env => { CDCS3_PROGRAM => $program, CDC_S3_STORE_URL => $store->{url} });
like($real->{out}, qr/^gives True$/m, 'the program itself answers the sensor')
  or diag $real->{out};
my $later = dag('run', 75);
like($later, qr/^gives False$/m, '75: the sensor waits');
like($later, qr/^AirflowException cdc-s3 merge may work later: cdc-s3: the reason$/m,
	'75: the merge is tried again');
my $bad = dag('run', 7);
like($bad, qr/^AirflowFailException cdc-s3 ls: exit code 7: cdc-s3: the reason$/m,
	'another code: the sensor fails at once');
like($bad, qr/^AirflowFailException cdc-s3 merge: exit code 7: cdc-s3: the reason$/m,
	'and so does the merge');

done_testing();
