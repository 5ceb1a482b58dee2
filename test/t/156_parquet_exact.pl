#-------------------------------------------------------------------------
# output.parquet_types = exact: it takes effect with the next partition, the
# files have the types that are promised, and merge, replay and verify see no
# difference to JSON.  Commit times are an origin's, so that nothing waits for
# the clock.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Engines qw(have_engines engines_missing python);
use CdcS3::Test;

plan skip_all => engines_missing() unless have_engines();

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', 'create database work');
$source->psql('work', <<'SQL');
create table things (u uuid primary key, t time, j json, b jsonb, i integer, n numeric(12,2), d date, at timestamptz, x text);
alter table things alter x set storage external;
insert into things select md5(i::text)::uuid, '08:14:07', '{"a" : 1}', '{"a": 1}', i, i / 7.0, '2026-11-30', now(), repeat('x', 3000)
	from generate_series(1, 50) i;
select pg_replication_origin_create('elsewhere');
SQL
my $hour = int(time / 3600) * 3600;
my $at = 0;

# Changes in a transaction of that hour from now.
sub changes
{
	my ($n) = @_;
	my $time = $hour + 3600 * $n + 600;
	my $from = 1000 * ++$at;
	$source->psql('work', <<"SQL");
select pg_replication_origin_session_setup('elsewhere');
begin;
select pg_replication_origin_xact_setup('0/$at', to_timestamp($time));
insert into things select md5(i::text)::uuid, (array['24:00:00', '23:59:59.999999', '00:00', null])[1 + i % 4]::time,
	(array['null', '  null ', '"\\\\n"', null])[1 + i % 4]::json, (array['null', '[1.10]', null])[1 + i % 3]::jsonb,
	i * 3, (array['NaN', '0.10', null])[1 + i % 3]::numeric, (array['infinity', '0044-03-15 BC', '9999-12-31'])[1 + i % 3]::date,
	to_timestamp($time) + i * interval '1 ms', 'x' || i from generate_series($from, $from + 199) i;
update things set i = -i where i % 5 = 0;
update things set u = md5(u::text)::uuid where i % 7 = 0;
delete from things where i % 11 = 0;
commit;
SQL
	return;
}

my (%cdc, %run);
my @exact = ('--output.format=parquet', '--output.parquet_types=exact');
my @sessions = (
	[ '', ['--output.format=parquet'] ], [ 'exact', \@exact ],
	[ 'exact-ms', [ @exact, '--output.parquet_timestamp=ms' ] ], [ '', ['--output.format=parquet'] ]);
for my $way (qw(json parquet))
{
	$target->psql('postgres', "create database $way");
	$cdc{$way} = sidecar($source, 'work', file_store(),
		slot => "slot_$way",
		target => $target,
		target_db => $way,
		flags => [ '--flush.interval=1s', $way eq 'json' ? () : @{ $sessions[0][1] } ]);
	$cdc{$way}->ok('init');
	$run{$way} = $cdc{$way}->start;
	ok($cdc{$way}->wait_loaded, "$way: loaded") or diag $run{$way}->errors;
}
for my $n (0 .. $#sessions)
{
	my ($variant, $flags) = @{ $sessions[$n] };
	if ($n > 0)
	{
		$run{parquet}->stop($n == 2 ? 'KILL' : 'TERM', 60);
		$cdc{parquet}{flags} = [ '--flush.interval=1s', @$flags ];
		$run{parquet} = $cdc{parquet}->start;
	}
	changes($_) for 0 .. $n;
	ok($cdc{parquet}->wait_durable, "session $n: durable") or diag $run{parquet}->errors;
	is($cdc{parquet}->last_entry->{layouts}[-1]{variant} // '', $variant, "session $n: the entry says its types");
}
for my $way (sort keys %cdc)
{
	ok($cdc{$way}->wait_durable, "$way: durable") or diag $run{$way}->errors;
	is($run{$way}->stop('TERM', 60), 0, "$way: run stops") or diag $run{$way}->errors;
}

# ---- the same as JSON ----

my %stream = map {
	my $way = $_;
	($way => join "\n", grep { !/"_op":"r"/ } split /\n/, $cdc{$way}->replay)
} keys %cdc;
cmp_ok(length $stream{json}, '>', 10000, 'there are records');
ok($stream{parquet} eq $stream{json}, 'replay prints what that of JSON prints');
for my $way (sort keys %cdc)
{
	$cdc{$way}->ok('merge', '--merge.until=now');
	tables_equal($source, 'work', $target, $way, 'things');
	is($cdc{$way}->call('verify')->{code}, 0, "$way: verify");
}

# ---- the files, and no folder with two kinds ----

my $r = python(<<'PYTHON', $cdc{parquet}{store}{folder});
import glob, os, sys
import pyarrow.parquet as pq
folders, deltas = {}, 0
for path in glob.glob(sys.argv[1] + "/public/things/**/*.parquet", recursive=True):
    f = pq.ParquetFile(path)
    types = tuple(f"{f.schema.column(i).path}={f.schema.column(i).physical_type},{f.schema.column(i).logical_type}"
                  for i in range(len(f.schema)) if f.schema.column(i).path in ("u", "t", "j", "b", "at"))
    folders.setdefault(os.path.dirname(path), set()).add(types)
    if "FIXED" in types[0]:
        deltas += any("DELTA_BINARY_PACKED" in f.metadata.row_group(g).column(c).encodings
                      for g in range(f.num_row_groups) for c in range(f.metadata.num_columns))
for kinds in sorted(map(sorted, folders.values())):
    print(len(kinds), *kinds[0])
print("deltas" if deltas else "no deltas")
PYTHON
is($r->{code}, 0, 'pyarrow reads them') or diag $r->{err};
my @kinds = split /\n/, $r->{out};
is(pop @kinds, 'deltas', 'numbers stand as differences');
is(scalar(grep { !/^1 / } @kinds), 0, 'no folder has two kinds') or diag $r->{out};
my @are = grep { /u=FIXED_LEN_BYTE_ARRAY,UUID/ } @kinds;
cmp_ok(scalar @are, '>=', 2, 'exact and exact-ms') or diag $r->{out};
like($_, qr/t=INT64,Time\(isAdjustedToUTC=false, timeUnit=microseconds.* j=BYTE_ARRAY,JSON b=BYTE_ARRAY,JSON/, 'types')
  for @are;
like($kinds[0] . $kinds[-1], qr/u=BYTE_ARRAY,String/, 'and portable ones');

# ---- field ids: a table made anew, in this session and in the next ----

for my $n (1, 2)
{
	$run{parquet} = $cdc{parquet}->start;
	$source->psql('work', 'drop table things; create table things (k integer primary key, u text)') if $n == 1;
	$source->psql('work', "insert into things values ($n, 'anew')");
	$source->psql('work', "alter table things add more integer; insert into things values (10 + $n, 'x', 1)") if $n == 2;
	ok($cdc{parquet}->wait_durable, "anew $n: durable") or diag $run{parquet}->errors;
	is($run{parquet}->stop('TERM', 60), 0, 'run stops') or diag $run{parquet}->errors;
}
$r = python(<<'PYTHON', $cdc{parquet}{store}{folder});
import glob, sys
import pyarrow.parquet as pq
seen = set()
for path in glob.glob(sys.argv[1] + "/public/things/**/*.parquet", recursive=True):
    for f in pq.read_schema(path):
        seen.add((int(f.metadata[b"PARQUET:field_id"]), f.name, str(f.type) if f.name == "u" else ""))
for id, name, type in sorted(seen):
    if id < 10000 and name in ("u", "k", "more"):
        print(id, name, type)
print("twice" if len({(i, n) for i, n, t in seen}) != len({i for i, n, t in seen}) else "once")
PYTHON
is($r->{code}, 0, 'pyarrow reads field ids') or diag $r->{err};
my @ids = split /\n/, $r->{out};
is(pop @ids, 'once', 'no id has two names') or diag $r->{out};
is(join(' ', map { (split)[0] } grep { / u / } @ids), '1 1 1602', 'ids of u: of both kinds, and of the new table') or diag $r->{out};
is(join(' ', map { (split)[0] } grep { / (?:k|more) / } @ids), '1601 1603', 'ids of the others') or diag $r->{out};

# ---- ddl ----

my $ddl = $cdc{parquet}->on_lake('ddl', '--engine=trino', '--table=public.things');
like($ddl->{out}, qr/NOT WHOLE: objects of output.parquet_types = exact/, 'ddl says which engine cannot');
$ddl = $cdc{parquet}->on_lake('ddl', '--engine=duckdb', '--table=public.things');
unlike($ddl->{out}, qr/parquet_types/, 'and which can') or diag $ddl->{err};

done_testing();
