#-------------------------------------------------------------------------
# Each format with each compression, killed again and again while rows come:
# the target equals the source, replay prints what that of JSON prints, and a
# further output of another format has each record as well.
#
# All ways follow the same changes, each with a slot and a lake of its own; a
# reference writes JSON and is never killed.
#
# CDCS3_TEST_MATRIX=1 tries all ways, ten kills each; CDCS3_TEST_SEED repeats
# a run's moments.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use List::Util qw(shuffle);
use Time::HiRes qw(sleep time);

use CdcS3::Test;

my $seed = $ENV{CDCS3_TEST_SEED} // int(rand(1_000_000));
srand($seed);
diag("seed $seed");
my $whole = $ENV{CDCS3_TEST_MATRIX};
my $kills = $whole ? 10 : 3;

my %all = (
	(map { ("json_$_" => [ 'json', $_ ]) } qw(none gzip zstd)),
	(map { ("csv_$_" => [ 'csv', $_ ]) } qw(none gzip zstd)),
	(map { ("parquet_$_" => [ 'parquet', $_ ]) } qw(none gzip zstd snappy)),
	exact => [ 'parquet', 'zstd', '--output.parquet_types=exact' ],
	exact_ms => [ 'parquet', 'snappy', '--output.parquet_types=exact', '--output.parquet_timestamp=ms' ]);
my @ways = $whole ? sort keys %all : qw(csv_gzip exact);

my $source = new_cluster('source',
	conf => [ 'max_replication_slots = 20', 'max_wal_senders = 40', 'max_wal_size = 4GB' ])->start;
my $target = new_cluster('target')->start;
my @tables = qw(everything nokey wide);
$source->psql('postgres', 'create database work');

# Every type has a column; rows of the pool are what is inserted.
my @columns = (
	[ 'boolean', q('t'), q('f') ], [ 'smallint', q(-32768) ], [ 'integer', q(2147483647) ],
	[ 'bigint', q(-9223372036854775808), q(0) ], [ 'oid', q(4294967295) ],
	[ 'real', q('NaN'), q(-0.0), q(1e-45) ], [ 'double precision', q('-Infinity'), q(0.30000000000000004) ],
	[ 'numeric', q('NaN'), q(1.10), q(-0.000001), q(12345678901234567890.5) ],
	[ 'numeric(9,2)', q(-1.10), q('NaN') ], [ 'numeric(38,10)', q(9999999999999999999999999999.9999999999) ],
	[ 'numeric(3,-2)', q(12300) ], [ 'money', q('12.34') ],
	[ 'date', q('2026-11-30'), q('infinity'), q('0044-03-15 BC'), q('12000-01-01') ],
	[ 'time', q('24:00:00'), q('23:59:59.999999'), q('00:00') ], [ 'timetz', q('08:14:07.5+05:41:16') ],
	[ 'timestamp', q('-infinity'), q('1969-12-31 23:59:59.999999'), q('0001-01-01') ],
	[ 'timestamptz', q('2026-11-21 08:14:07.123456+00'), q('infinity') ],
	[ 'interval', q('-1 mon 2 days -03:04:05.6') ],
	[ 'uuid', q('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), q('ffffffff-ffff-ffff-ffff-ffffffffffff') ],
	[ 'text', q(''), q(E'"\\n,\\\\N\\r\\n'), q('é😀') ], [ 'varchar(20)', q('  x ') ], [ 'char(5)', q('ab') ],
	[ '"char"', q('x') ], [ 'name', q('n') ], [ 'bytea', q('\x'), q('\x00ff0a22') ],
	[ 'json', q('null'), q('  null '), q(E'{"a" : [1, 2]}') ], [ 'jsonb', q('null'), q('{"a": 1.10}') ],
	[ 'inet', q('::1/64') ], [ 'cidr', q('10.0.0.0/8') ], [ 'macaddr', q('08:00:2b:01:02:03') ],
	[ 'bit(3)', q(B'101') ], [ 'varbit', q(B'') ], [ 'point', q('(1,2.5)') ], [ 'tsvector', q('a:1 b:2') ],
	[ 'int4range', q{'[1,5)'}, q('empty') ], [ 'mood', q('ok') ], [ 'pair', q('(1,"a b")') ],
	[ 'boolean[]', q('{t,NULL}') ], [ 'integer[]', q('{1,NULL}'), q('[2:3]={1,2}'), q('{{1,2},{3,4}}'), q('{}') ],
	[ 'bigint[]', q('{0}') ], [ 'double precision[]', q('{NaN,-0}') ], [ 'numeric[]', q('{1.10,NaN}') ],
	[ 'text[]', q('{"a,b",NULL,"NULL",""}') ], [ 'uuid[]', q('{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}') ],
	[ 'date[]', q('{infinity}') ], [ 'jsonb[]', q('{"null"}') ]);
my $kinds = "create type mood as enum ('sad', 'ok'); create type pair as (a integer, b text);";
my $list = join ', ', map { "c$_ $columns[$_][0]" } 0 .. $#columns;
my $pool = 40;
my @rows;
for my $n (1 .. $pool)
{
	push @rows, "($n, "
	  . join(', ', map { my ($type, @v) = @$_; "(" . ($n % 4 == 0 ? "null" : $v[ $n % @v ]) . ")::$type" } @columns) . ')';
}
my $values = join ",\n", @rows;
$source->psql('work', <<"SQL");
$kinds
create table pool (n integer primary key, $list);
insert into pool values $values;
create table everything (id bigserial primary key, n integer, $list);
create table nokey (a integer, b text);
alter table nokey replica identity full;
create table wide (id integer primary key, big text, n integer);
alter table wide alter big set storage external;
insert into everything (n, @{[join ', ', map { "c$_" } 0 .. $#columns]}) select * from pool;
insert into wide select i, repeat('long ', 2000), 0 from generate_series(1, 50) i;
create function step(p integer) returns void language sql as \$\$
	insert into everything (n, @{[join ', ', map { "c$_" } 0 .. $#columns]}) select * from pool where n = p;
	update everything set n = n + 1, c19 = c19 || 'x' where id = (select max(id) - p from everything);
	update everything set id = -id where id = (select max(id) - 2 * p from everything);
	delete from everything where id = (select min(id) from everything where id > 0) and p % 3 = 0;
	insert into nokey values (p, 'a'), (p, 'a'), (null, null);
	update nokey set b = b || p where a = p - 1;
	delete from nokey where a = p - 3;
	update wide set n = n + 1 where id = p;
	update wide set big = big || p where id = p and p % 10 = 0;
\$\$;
SQL

my (%cdc, %run);
for my $way ('reference', @ways)
{
	my ($format, $compression, @more) = @{ $all{$way} // [ 'json', 'zstd' ] };
	my $other = $format eq 'parquet' ? 'csv' : 'parquet';
	my $folder = temp_folder() . '/other';
	$target->psql('postgres', "create database $way");
	$target->psql($way, $kinds);
	$cdc{$way} = sidecar($source, 'work', file_store(),
		slot => "way_$way",
		target => $target,
		target_db => $way,
		flags => [ '--flush.interval=1s', '--source.exclude=public.pool',
			"--output.format=$format", "--output.compression=$compression", @more,
			$way eq 'reference' ? () : ("--output.other.url=file://$folder", "--output.other.format=$other",
				'--output.other.compression=zstd') ]);
	$cdc{$way}->ok('init');
	$run{$way} = $cdc{$way}->start;
}
ok($cdc{$_}->wait_loaded(300), "$_: loaded") or diag $run{$_}->errors for 'reference', @ways;

my $script = temp_folder() . '/step.sql';
open my $f, '>', $script or die "$script: $!";
print {$f} "\\set p random(1, $pool)\nselect step(:p);\n";
close $f or die $!;
my $writers = $source->spawn_pgbench('work', '-n', '-c', 2, '-j', 1, '-T', 3600, '-R', 30, '-f', $script);
my $killed = 0;
for my $round (1 .. $kills)
{
	for my $way (shuffle @ways)
	{
		sleep rand 0.5;
		$run{$way}->stop('KILL', 60);
		$killed++;
		$run{$way} = $cdc{$way}->start;
	}
}
ok($source->poll_until('work', 'select count(*) > 100 from everything'), 'there were rows');
$writers->stop('TERM', 60);

# Loads have snapshots of their own; the stream is one for all of them.
sub records { return join "\n", grep { !/"_op":"r"/ } @_ }

my %stream;
for my $way ('reference', @ways)
{
	ok($cdc{$way}->wait_durable(300), "$way: durable") or diag $run{$way}->errors;
	is($run{$way}->stop('TERM', 60), 0, "$way: run stops") or diag $run{$way}->errors;
	$stream{$way} = records(split /\n/, $cdc{$way}->replay);
}
cmp_ok(length $stream{reference}, '>', 10000, 'the reference has records');
for my $way (@ways)
{
	ok($stream{$way} eq $stream{reference}, "$way: replay prints what that of JSON prints");
	my $other = records(split /\n/, $cdc{$way}->ok('replay', '--output=other'));
	ok($other eq $stream{reference}, "$way: and so does that of its further output");
	my $merge = $cdc{$way}->call('merge', '--merge.until=now');
	is($merge->{code}, 0, "$way: merge") or diag $merge->{err};
	tables_equal($source, 'work', $target, $way, @tables);
	is($cdc{$way}->call('verify')->{code}, 0, "$way: verify");
}
diag(sprintf '%d ways, %d kills, %d changes each', scalar @ways, $killed, scalar split /\n/, $stream{reference});

done_testing();
