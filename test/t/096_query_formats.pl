#-------------------------------------------------------------------------
# "cdc-s3 ddl" for DuckDB over lakes of each format, over one that changed
# format and folders, and over folders of other templates: the rows of now are
# those of the source.
#-------------------------------------------------------------------------
use strict;
use warnings;
use utf8;
use Test::More;

use JSON::PP;

use CdcS3::Engines qw(have_engines engines_missing duckdb python);
use CdcS3::Test;

plan skip_all => engines_missing() unless have_engines();

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output);
my $json = JSON::PP->new->canonical->utf8;
my $source = new_cluster('source')->start;

$source->psql('postgres', 'create database shop');
$source->psql('shop', <<'SQL');
create table items (id int primary key, name text, big text, more bytea, price numeric(10,2), n numeric, at timestamptz, ts timestamp,
	d date, t time, doc jsonb, tags text[], nums int[], f float8, u uuid, ok boolean);
alter table items alter big set storage external;
insert into items select g, E'n "' || g || E',\\n\\', repeat(md5(g::text), 100), decode('00ff', 'hex'), g / 7.0, g / 3.0,
	'2026-11-21 08:14:07.25+00', '2026-11-21 08:14:07', '2026-11-21', '08:14', '{"a": 1}', array['x,"y', null], array[1,null,g],
	g / 3.0, '00000000-0000-0000-0000-00000000000a', g % 2 = 0 from generate_series(1, 60) g;
create table bag (v int, w text);
alter table bag replica identity full;
insert into bag select g % 3, 'w' from generate_series(1, 9) g;
create table grown (id int primary key, v text);
insert into grown select g, 'v' from generate_series(1, 9) g;
create table "Odd.t" (id int primary key, "year" int);
insert into "Odd.t" values (1, 26);
create table nothing (id int primary key, v text);
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
update items set name = 'updated' where id % 5 = $n;
update items set id = id + 100 where id % 7 = $n;
update items set big = null where id % 11 = $n;
delete from items where id % 13 = $n;
insert into items (id, name, doc) values (-$at, null, 'null');
update bag set v = v + 1 where v = 1;
insert into bag values (1, 'w'), (null, null);
update grown set v = 'x$n' where id = 1 + $n;
update "Odd.t" set "year" = 27 + $n;
commit;
SQL
	return;
}

my $list = q{id, name, md5(big), price, n, at, ts, d, t, doc->>'a', tags[1], nums[3], f = id / 3.0, u, ok};
my @columns = ('id', 'name', 'md5(big)', 'price', 'n', '"at"', 'ts', 'd', 't', "doc->>'a'", 'tags[1]', 'nums[3]', 'u', 'ok');
my @tables = (
	[ items => [ @columns, q{encode(more, 'hex')} ], 'public.items_latest', [ @columns, 'lower(hex(more))' ] ],
	[ bag => [qw(v w)], 'public.bag_latest' ],
	[ grown => [qw(id v c)], 'public.grown_latest' ],
	[ q{"Odd.t"}, [ 'id', '"year"' ], q{public."Odd.t_latest"}, [ 'id', 'year_' ] ],
	[ nothing => [qw(id v)], 'public.nothing_latest' ]);

# Of both sides the same text: DuckDB's.
sub rows_here
{
	my ($table, $columns) = @_;
	my $sql = join ', ', map {
		/^"at"$/ ? q{to_char("at" at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')}
		  : /^ts$/ ? q{to_char(ts, 'YYYY-MM-DD HH24:MI:SS.MS')}
		  : "($_)::text"
	} @$columns;
	return sort map { $json->encode($json->decode($_)) } split /\n/,
	  $source->psql('shop', "select jsonb_build_array($sql) from $table");
}

sub rows_there
{
	my ($ddl, $view, $columns) = @_;
	my $sql = join ', ', map {
		/^("at"|ts)$/ ? "strftime($_, '%Y-%m-%d %H:%M:%S.%g')"
		  : "CAST(($_) AS VARCHAR)"
	} @$columns;
	return sort map { $json->encode($_) } duckdb("$ddl select $sql from $view");
}

sub compare
{
	my ($name, $cdc) = @_;
	my $r = $cdc->on_lake('ddl', '--engine=duckdb', '--view=latest');
	is($r->{code}, 0, "$name: ddl") or diag $r->{err};
	utf8::decode($r->{out});
	unlike($r->{out}, qr/NOT WHOLE: objects/, "$name: all objects are read");
	for my $t (@tables)
	{
		my ($table, $columns, $view, $in_view) = @$t;
		my @want = rows_here($table, $columns);
		my @have = eval { rows_there($r->{out}, $view, $in_view // $columns) };
		is($@, '', "$name, $table: DuckDB runs it") or next;
		is(join("\n", @have), join("\n", @want), "$name, $table: " . @want . ' rows, equal to the source');
	}
	return $r->{out};
}

my %ways = (
	csv => ['--output.format=csv'],
	escape => [ '--output.format=csv', '--output.csv_newlines=escape', '--output.compression=gzip' ],
	parquet => [ '--output.format=parquet', '--output.key_change=split' ],
	exact => [ '--output.format=parquet', '--output.parquet_types=exact' ],
	# DuckDB reads numbers of JSON as doubles
	folders => [ '--output.path={yyyy}-{mm}/{schema}.{table}/d={dd}/{hh}', '--output.numeric=auto' ],
	mixed => ['--output.numeric=auto']);
my (%cdc, %run);
for my $way (sort keys %ways)
{
	$cdc{$way} = sidecar($source, 'shop', file_store(), slot => "slot_$way", flags => [ '--flush.interval=1s', @{ $ways{$way} } ]);
	$cdc{$way}->ok('init');
	$run{$way} = $cdc{$way}->start;
	ok($cdc{$way}->wait_loaded, "$way: loaded") or diag $run{$way}->errors;
}
changes(0);
$source->psql('shop', q{alter table grown add c text default 'dflt'; insert into grown values (100, 'new', null)});
ok($cdc{mixed}->wait_durable, 'durable') or diag $run{mixed}->errors;
my @later = ([ 1, '--output.format=parquet' ], [ 2, '--output.format=csv' ], [ 3, '--output.path={table}.{schema}/{yyyy}/{mm}/{dd}/{hh}' ]);
for my $session (@later)
{
	my ($n, @flags) = @$session;
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
	compare($way, $cdc{$way});
}
my %suffixes = map { (/(\.[a-z.]+)$/ ? $1 : '?') => 1 } grep { m{/part-} } $cdc{mixed}->objects;
is(join(' ', sort keys %suffixes), '.csv.zst .json.zst .parquet', 'the mixed lake has all formats');

# ---- partition keys are those of the template ----

my $ddl = $cdc{folders}->on_lake('ddl', '--engine=duckdb', 'public.items')->{out};
my ($keys) = duckdb("$ddl select count(distinct d_), min(typeof(id)) from (select *, 1 as d_ from public.items)");
is_deeply($keys, [ 1, 'INTEGER' ], 'a key that is called as a column is the column');
$ddl = $cdc{mixed}->on_lake('ddl', '--engine=duckdb', 'public.grown')->{out};
my ($hours) = duckdb("$ddl select count(distinct hour), count(*) filter (hour is null) > 0, min(typeof(hour)) from public.grown");
cmp_ok($hours->[0], '>=', 1, 'hours of the default folders');
is_deeply([ @$hours[ 1, 2 ] ], [ 'true', 'INTEGER' ], 'and none of the others');

# ---- ClickHouse and Spark read all; 150_query_engines.pl runs it there, and
# 180_query_hive.pl has the others ----

my $parse = <<'PYTHON';
import logging, sqlglot, sys
logging.disable(logging.WARNING)
for s in sqlglot.parse(open(sys.argv[2], encoding="utf-8").read(), dialect=sys.argv[1]):
    if s is not None:
        print(type(s).__name__, (s.sql(dialect=sys.argv[1], comments=False)[:60]).replace("\n", " "))
PYTHON
my %reads = (
	spark => {
		csv => qr/USING CSV\nOPTIONS \(path 'file:[^']*public\/items\/year=\?{4}[^']*\*\.csv\.zst', header 'true'/,
		escape => qr/CASE WHEN t\.c14 = 'true' THEN/,
		parquet => qr/`more` BINARY,\n\s+`price` DECIMAL\(10, 2\),/,
		folders => qr/USING JSON\nOPTIONS \(path '[^']*\/\?{4}-\?\?\/public\.items\/d=\?\?\/\?\?\/\*\.json\.zst'\)/,
		mixed => qr/UNION ALL.*UNION ALL.*UNION ALL/s
	},
	clickhouse => {
		csv => qr/file\('[^']*\*\.csv\.zst', 'CSVWithNames', /,
		escape => qr/CASE WHEN f\.`_escaped` = 'true' THEN/,
		parquet => qr/'Parquet', .*`price` Nullable\(Decimal\(10, 2\)\)/,
		folders => qr/^-- NOT RIGHT in a session without this setting: .*\nSET use_hive_partitioning = 0;\n/m,
		mixed => qr/UNION ALL.*UNION ALL.*UNION ALL/s
	});
for my $engine (sort keys %reads)
{
	for my $way (sort keys %ways)
	{
		my $r = $cdc{$way}->on_lake('ddl', "--engine=$engine", '--view=latest', 'public.items');
		if ($way eq 'exact')
		{
			like($r->{out}, qr/^-- NOT WHOLE: objects of output\.parquet_types = exact/m, "$engine, $way: said");
		}
		else
		{
			like($r->{out}, $reads{$engine}{$way}, "$engine, $way: reads it");
			unlike($r->{out}, qr/NOT WHOLE: (objects|some)/, "$engine, $way: all objects");
		}
		my $path = temp_folder() . '/x.sql';
		open my $f, '>:raw', $path or die $!;
		print {$f} $r->{out};
		close $f or die $!;
		my $p = python($parse, $engine, $path);
		is($p->{code}, 0, "$engine, $way: parsed") or diag $p->{err};
		like($p->{out}, qr/^Create CREATE OR REPLACE VIEW \W*public\W+items_latest/m, "$engine, $way: with its view");
	}
}

done_testing();
