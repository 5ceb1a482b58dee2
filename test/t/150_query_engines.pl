#-------------------------------------------------------------------------
# What "cdc-s3 ddl" prints for ClickHouse and Spark, run in them over lakes of
# each format, over one that changed format and folders, and over folders of
# another template: the rows of now are those of the source.  The engines are
# heavy: QUERY_ENGINES=1 runs this, with what test/deps-query.sh brings;
# QUERY_ENGINES=spark or clickhouse one of them, and QUERY_LAKES='mixed csv' and
# QUERY_TABLES='grown' some of it.
#-------------------------------------------------------------------------
use strict;
use warnings;
use utf8;
use Test::More;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP;

use CdcS3::Test;

plan skip_all => 'QUERY_ENGINES=1 runs it' unless $ENV{QUERY_ENGINES};
my $python = capture([ 'sh', abs_path(dirname(__FILE__) . '/..') . '/deps-query.sh' ]);
plan skip_all => "missing: ClickHouse and Spark; $python->{err}" if $python->{code};
chomp(my $path = $python->{out});

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output);
my $json = JSON::PP->new->canonical->utf8;
my $source = new_cluster('source')->start;

$source->psql('postgres', 'create database shop');
$source->psql('shop', <<'SQL');
create table items (id int primary key, name text, big text, more bytea, price numeric(10,2), n numeric, at timestamptz, ts timestamp,
	d date, t time, doc jsonb, nums int[], sums numeric(9,2)[], tags text[], f float8, u uuid, ok boolean);
alter table items alter big set storage external;
insert into items select g, E'n "' || g || E',\\n\\', repeat(md5(g::text), 100), decode('00ff', 'hex'), g / 7.0, g / 3.0,
	'2026-11-21 08:14:07.25+00', '2026-11-21 08:14:07', '2026-11-21', '08:14', '{"a": 1}', array[1,null,g], array[g / 4.0],
	array['x', null], g / 3.0, '00000000-0000-0000-0000-00000000000a', g % 2 = 0 from generate_series(1, 40) g;
create table grown (id int primary key, gone int, v text);
insert into grown select g, -g, 'v' from generate_series(1, 9) g;
select pg_replication_origin_create('elsewhere');
SQL

my $hour = int(time / 3600) * 3600;
my $at = 0;

# Changes, in transactions of that hour from now.
sub changes
{
	my ($n) = @_;
	my $time = $hour + 3600 * $n + 60;
	$at++;
	$source->psql('shop', <<"SQL");
select pg_replication_origin_session_setup('elsewhere');
begin;
select pg_replication_origin_xact_setup('0/$at', to_timestamp($time));
update items set name = E'updated\\n' where id % 5 = $n;
update items set id = id + 100 where id % 7 = $n;
update items set big = null where id % 11 = $n;
delete from items where id % 13 = $n;
insert into items (id, name) values (-$at, '');
update grown set v = 'x$n' where id = 1 + $n;
commit;
SQL
	return;
}

# A column of both tables, as text: at the source, in ClickHouse, in Spark.
my @columns = (
	[ 'id::text', 'toString(id)', 'CAST(id AS STRING)' ],
	[ 'name', 'name', 'name' ],
	[ 'md5(big)', 'lower(hex(MD5(big)))', 'md5(big)' ],
	[ q{encode(more, 'hex')}, 'lower(hex(more))', 'lower(hex(more))' ],
	[ q{(price * 100)::int8::text}, 'toString(toInt64(price * 100))', 'CAST(CAST(price * 100 AS BIGINT) AS STRING)' ],
	[ 'n::text', 'n', 'n' ],
	[ q{(extract(epoch from at) * 1000)::int8::text}, 'toString(toUnixTimestamp64Milli(at))', 'CAST(unix_millis(at) AS STRING)' ],
	[ q{to_char(ts, 'YYYY-MM-DD HH24:MI:SS')}, q{formatDateTime(ts, '%Y-%m-%d %H:%i:%S')}, q{date_format(ts, 'yyyy-MM-dd HH:mm:ss')} ],
	[ 'd::text', 'toString(d)', 'CAST(d AS STRING)' ],
	[ 't::text', 't', 't' ],
	[ q{doc->>'a'}, q{JSONExtract(doc, 'a', 'Nullable(Int64)')::Nullable(String)}, q{get_json_object(doc, '$.a')} ],
	[ q{(f * 3000)::int8::text}, 'toString(toInt64(round(f * 3000)))', 'CAST(CAST(round(f * 3000) AS BIGINT) AS STRING)' ],
	[ 'u::text', 'toString(u)', 'u' ],
	[ q{case when ok then '1' else '0' end}, q{if(ok, '1', '0')}, q{if(ok, '1', '0')} ]);
my @grown = (
	[ 'id::text', 'toString(id)', 'CAST(id AS STRING)' ],
	[ 'v', 'v', 'v' ],
	[ 'c', 'c', 'c' ]);

my %run_sql = (
	clickhouse => <<'PYTHON',
import json, sys
from chdb import session
s = session.Session()
for statement in json.load(open(sys.argv[1], encoding="utf-8")):
    out = s.query(statement, "JSONCompactEachRow")
print(out.data() if hasattr(out, "data") else str(out))
PYTHON
	spark => <<'PYTHON');
import json, sys, tempfile
from pyspark.sql import SparkSession
spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    .config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "1")
    .config("spark.sql.warehouse.dir", tempfile.mkdtemp(dir=sys.argv[2])).getOrCreate())
for statement in json.load(open(sys.argv[1], encoding="utf-8")):
    out = spark.sql(statement)
for row in out.collect():
    print(json.dumps(list(row)))
PYTHON

my $files = 0;

sub file_of
{
	my ($text) = @_;
	my $file = temp_folder() . '/query' . $files++;
	open my $f, '>:raw', $file or die "$file: $!";
	print {$f} $text;
	close $f or die "$file: $!";
	return $file;
}

# Rows of the last statement, sorted, as JSON.
sub rows_there
{
	my ($engine, $sql) = @_;
	my @statements = grep { /\S/ } split /;\s*\n/, join '', map { "$_\n" } grep { !/^--/ } split /\n/, $sql;
	my $r = capture(
		[ $path, file_of($run_sql{$engine}), file_of($json->encode(\@statements)), temp_folder() ],
		timeout => 1800);
	if ($r->{code})
	{
		diag "$engine: " . substr($r->{err}, -3000);
		return "failed";
	}
	return sort map { $json->encode($json->decode($_)) } grep { /^\[/ } split /\n/, $r->{out};
}

my @tables = grep { ($ENV{QUERY_TABLES} // 'items grown') =~ /$_->[0]/ } ([ items => \@columns ], [ grown => \@grown ]);

sub compare
{
	my ($name, $cdc) = @_;
	for my $engine (qw(clickhouse spark))
	{
		next if ($ENV{QUERY_ENGINES} // '') =~ /^[a-z]/ && $ENV{QUERY_ENGINES} ne $engine;
		my $r = $cdc->on_lake('ddl', "--engine=$engine", '--view=latest', map { "public.$_->[0]" } @tables);
		is($r->{code}, 0, "$name, $engine: ddl") or diag $r->{err};
		utf8::decode($r->{out});
		unlike($r->{out}, qr/NOT WHOLE: (objects|some)/, "$name, $engine: all objects are read");
		my $i = $engine eq 'clickhouse' ? 1 : 2;
		my (@want, @have);
		for my $t (@tables)
		{
			my ($table, $columns) = @$t;
			push @want, sort map { $json->encode($json->decode($_)) } split /\n/,
			  $source->psql('shop', 'select jsonb_build_array(' . join(', ', "'$table'", map { $_->[0] } @$columns) . ") from $table");
		}
		my $all = join ' UNION ALL ', map {
			my ($table, $columns) = @$_;
			my @list = map { $_->[$i] } @$columns;
			push @list, ("''") x (@columns - @list);
			"SELECT '$table', " . join(', ', @list) . " FROM public.${table}_latest"
		} @tables;
		@have = map {
			my $row = $json->decode($_);
			splice @$row, 1 + @grown if ref $row && $row->[0] eq 'grown';
			ref $row ? $json->encode($row) : $_
		} grep { /^\[/ } rows_there($engine, "$r->{out};\n$all;\n");
		is(join("\n", sort @have), join("\n", sort @want), "$name, $engine: " . @want . ' rows, equal to the source');
	}
	return;
}

my %every = (
	csv => ['--output.format=csv'],
	escape => [ '--output.format=csv', '--output.csv_newlines=escape', '--output.compression=gzip' ],
	parquet => [ '--output.format=parquet', '--output.key_change=split' ],
	folders => [ '--output.path={yyyy}-{mm}/{schema}.{table}/d={dd}/{hh}', '--output.numeric=auto' ],
	mixed => ['--output.numeric=auto']);
my %ways = map { $_ => $every{$_} } split ' ', $ENV{QUERY_LAKES} // join ' ', sort keys %every;
my (%cdc, %run);
for my $way (sort keys %ways)
{
	$cdc{$way} = sidecar($source, 'shop', file_store(), slot => "slot_$way", flags => [ '--flush.interval=1s', @{ $ways{$way} } ]);
	$cdc{$way}->ok('init');
	$run{$way} = $cdc{$way}->start;
	ok($cdc{$way}->wait_loaded, "$way: loaded") or diag $run{$way}->errors;
}
changes(0);
$source->psql('shop', q{alter table grown add c text default 'dflt'; alter table grown drop gone; insert into grown values (100, 'new', null)});
my @later = !$ways{mixed} ? () : ([ 1, '--output.format=parquet' ], [ 2, '--output.format=csv' ], [ 3, '--output.path={table}.{schema}/{yyyy}/{mm}/{dd}/{hh}' ]);
for my $session (@later)
{
	my ($n, @flags) = @$session;
	ok($cdc{mixed}->wait_durable, 'durable') or diag $run{mixed}->errors;
	is($run{mixed}->stop('TERM', 60), 0, 'run stops') or diag $run{mixed}->errors;
	$cdc{mixed}{flags} = [ '--flush.interval=1s', '--output.numeric=auto', @flags ];
	$run{mixed} = $cdc{mixed}->start;
	changes($n);
	ok($cdc{mixed}->wait_durable, "durable, @flags") or diag $run{mixed}->errors;
}
for my $way (sort keys %ways)
{
	ok($cdc{$way}->wait_durable, "$way: durable") or diag $run{$way}->errors;
	is($run{$way}->stop('TERM', 60), 0, "$way: run stops") or diag $run{$way}->errors;
}
compare($_, $cdc{$_}) for sort keys %ways;

done_testing();
