#-------------------------------------------------------------------------
# cdc-s3 ddl: the SQL by which engines read the lake.  The view of the rows of
# now is run in DuckDB and compared with the source row by row, over all that
# doc/query.md says of it; for the other engines the SQL is parsed.
#-------------------------------------------------------------------------
use strict;
use warnings;
use utf8;
use Test::More;

use JSON::PP;

use CdcS3::Engines qw(have_engines engines_missing duckdb python);
use CdcS3::Lake;
use CdcS3::Test;

plan skip_all => engines_missing() unless have_engines();

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output);
my $json = JSON::PP->new->canonical->utf8;

my $source = new_cluster('source')->start;

# The rows of a query at the source, each column as text.
sub source_rows
{
	my ($db, $columns, $table) = @_;
	my $list = join ', ', map { "($_)::text" } @$columns;
	utf8::encode($list), utf8::encode($table);
	return sort split /\n/,
	  $source->psql($db, "select jsonb_build_array($list)::text from $table");
}

# Compares tables with their views in a DuckDB that has run $ddl.  Each is
# [ name at the source, columns at the source, view, columns in it ]; the last
# two are as the first where they are not given.
sub same_rows
{
	my ($db, $ddl, @tables) = @_;
	my $file = temp_folder() . '/duck.db';
	eval { duckdb($ddl, $file) };
	is($@, '', 'DuckDB takes the statements');
	for my $t (@tables)
	{
		my ($name, $columns, $view, $in_view) = @$t;
		$view //= "public.${name}_latest";
		$in_view //= $columns;
		my $list = join ', ', map { "CAST(($_) AS VARCHAR)" } @$in_view;
		my @want = map { $json->encode($json->decode($_)) } source_rows($db, $columns, $name);
		my @have = eval {
			map { $json->encode($_) } duckdb("select $list from $view", $file);
		};
		is($@, '', "$name: DuckDB runs the view") or next;
		@want = sort @want;
		@have = sort @have;
		my $equal = "@want" eq "@have";
		ok($equal, "$name: " . @want . ' rows, equal to the source');
		next if $equal;
		my (%want, %have);
		$want{$_}++ for @want;
		$have{$_}++ for @have;
		diag 'missing: ', (grep { !$have{$_} } @want)[0] // '-';
		diag 'too many: ', (grep { !$want{$_} } @have)[0] // '-';
		diag scalar(@want), ' rows at the source, ', scalar(@have), ' in the view';
	}
	return;
}

sub ddl_of
{
	my ($cdc, @args) = @_;
	my $r = $cdc->on_lake('ddl', @args);
	is($r->{code}, 0, "ddl @args") or diag $r->{err};
	utf8::decode($r->{out});
	return $r->{out};
}

# ---- all kinds of changes ----

# Names that are hard to write.
my $odd = <<'SQL';
create schema "Odd ""s'chema";
create table "Odd ""s'chema"."T `a""b\c d/e~f%ü" ("Key ""one" int, "select" text, "year" int, "YEAR_" int, "a'b" text, "x\y`z" text,
	"ü ~/" text, "_op" text, "c1" text, "pos" text, "t" text, "group" int, primary key ("ü ~/", "Key ""one"));
SQL
my $odd_changes = <<'SQL';
insert into "Odd ""s'chema"."T `a""b\c d/e~f%ü" select g, 'sel', 26, 27, 'it''s', repeat(md5(g::text), 200), 'ü' || g, 'op', 'c1', 'pos', 't', g
	from generate_series(1, 20) g;
update "Odd ""s'chema"."T `a""b\c d/e~f%ü" set "ü ~/" = 'moved ' || "ü ~/", "Key ""one" = -1 where "group" > 10;
update "Odd ""s'chema"."T `a""b\c d/e~f%ü" set "_op" = 'Ö' where "group" > 15;
SQL
utf8::encode($_) for $odd, $odd_changes;

my $big = 'repeat(md5(g::text), 100)';	# out of line, since stored external

$source->psql('postgres', 'create database shop');
$source->psql('shop', <<"SQL");
create table items (id int primary key, part int, name text, big text, more bytea, price numeric(10,2),
	at timestamptz, doc jsonb, tags text[], f float8);
alter table items alter big set storage external, alter more set storage external;
insert into items select g, g % 7, 'n' || g, $big, decode(repeat('00ff', 2000), 'hex'), g / 7.0,
	'2026-11-21 08:14:07.25+00'::timestamptz + g * interval '1 s', '{"a": 1}', array['x', null], g / 3.0
	from generate_series(1, 1500) g;
create table pairs (a text, b int, big text, primary key (b, a));
alter table pairs alter big set storage external;
create table bag (v int, w text);
alter table bag replica identity full;
insert into bag select g % 3, 'w' from generate_series(1, 30) g;
create table wiped (id int primary key, v text);
insert into wiped select g, 'old' from generate_series(1, 50) g;
create table loaded_again (id int primary key, v text, r text);
insert into loaded_again select g, 'v' from generate_series(1, 100) g;
create table altered (id int primary key, v text, gone int, n int);
insert into altered select g, 'v' || g, g, g from generate_series(1, 20) g;
create table recreated (id int primary key, v text);
insert into recreated select g, 'first' from generate_series(1, 20) g;
create table regions (id int, region text, day date, v text, primary key (id, region, day)) partition by list (region);
create table regions_eu partition of regions for values in ('eu', 'uk');
create table regions_us partition of regions for values in ('us');
insert into regions select g, (array['eu', 'uk', 'us'])[1 + g % 3], '2026-11-21', 'v' from generate_series(1, 30) g;
$odd
create table was (id int primary key, dh text, "DH_" text);
insert into was values (1, 'first', 'name');
create table keyless (v int);
create table nothing (id int primary key, v text);
create table odd_values (id int primary key, ts timestamptz, d date, n numeric(10,2), f float8, a int[], j json, jb jsonb, t time);
SQL

my $cdc = sidecar($source, 'shop', file_store(), flags => ['--flush.interval=1s']);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;

$source->psql('shop', <<"SQL");
insert into items select g, g % 7, 'n' || g, $big, null, g / 7.0, now(), null, '{}', null from generate_series(1501, 3000) g;
update items set name = 'updated' where id % 5 = 0;				-- big is unchanged
update items set big = null where id % 11 = 0;
update items set name = name || '!' where id % 3 = 0;
update items set id = id + 10000 where id % 4 = 0;				-- the key, and big is unchanged
update items set id = id + 10000, name = 'twice' where id > 10000 and id % 8 = 0;
update items set id = id + 10000 where id > 20000 and id % 16 = 0;	-- three lives
update items set big = 'told' where id > 30000 and id % 32 = 0;
delete from items where id % 13 = 0;
begin; update items set id = -1 where id = 1; update items set id = 1 where id = 2; update items set id = 2 where id = -1; commit;
insert into items (id, name) select id, 'again' from generate_series(26, 260, 26) id;	-- deleted before
begin; update items set id = -7 where id = 7; delete from items where id = -7; insert into items (id) values (7); commit;
begin; update items set id = -9 where id = 9; update items set id = 9 where id = -9; commit;

insert into pairs select 'k' || g, g % 10, $big from generate_series(1, 200) g;
update pairs set b = b + 100 where b < 4;
update pairs set a = a || 'x' where b >= 100;

insert into bag select 1, 'w' from generate_series(1, 5);
update bag set v = 7 where v = 1;
delete from bag where ctid in (select ctid from bag where v = 7 limit 4);
insert into bag values (null, null), (null, null);
delete from bag where ctid in (select ctid from bag where v is null limit 1);

truncate wiped;
insert into wiped select g, 'new' from generate_series(40, 60) g;

alter table altered add c text default 'dflt';
insert into altered (id, v, c) values (100, 'x', null);
update altered set v = 'y' where id = 1;
alter table altered rename v to w;
update altered set w = 'z' where id = 2;
alter table altered drop gone;
alter table altered add gone text;
alter table altered alter n type bigint;
insert into altered (id, w, gone) values (101, 'last', 'text');

drop table recreated;
create table recreated (id int primary key, v text, extra int);
insert into recreated values (1, 'second', 1);

delete from regions where id = 3;
truncate regions_eu;
insert into regions values (1, 'eu', '2026-11-22', 'back');
update regions set region = 'us', v = 'moved' where id = 1 and region = 'eu';

$odd_changes
alter table was rename to is_now;
insert into is_now values (2, 'second', 'name');
insert into keyless values (1);

insert into odd_values values (1, 'infinity', '-infinity', 'NaN', 'NaN', '{1,2}', 'null', 'null', '24:00'),
	(2, null, '0044-03-15 BC', 1.5, '-Infinity', '{{1},{2}}', null, null, null),
	(3, '2026-11-21 08:14:07.5+00', '2026-11-21', -1.50, '-0', '{}', '{"a" : 1.10}', '[1.10]', '08:14');
SQL
ok($cdc->wait_durable, 'durable') or diag $run->errors;

my @items = ('id', 'part', 'name', 'md5(big)', 'price', '"at"', "doc->>'a'");
my $ddl = ddl_of($cdc, '--engine=duckdb', '--view=latest', '--truncates');
same_rows(
	'shop', $ddl,
	[ 'items', [ @items, q{md5(encode(more, 'hex'))}, 'tags[1]', 'cardinality(tags)', 'f = id / 3.0' ],
		undef, [ @items, 'md5(lower(hex(more)))', 'tags[1]', 'len(tags)', 'f = id / 3.0' ] ],
	[ 'pairs', [qw(a b md5(big))] ],
	[ 'bag', [qw(v w)] ],
	[ 'wiped', [qw(id v)] ],
	[ 'altered', [qw(id w n c gone)] ],
	[ 'recreated', [qw(id v extra)] ],
	[ 'regions', [qw(id region day v)], undef, [qw(id region day_ v)] ],
	[ q{"Odd ""s'chema"."T `a""b\\c d/e~f%ü"}, [ (map { qq{"$_"} } qw(select year c1 pos t group), 'Key ""one', 'YEAR_', q(a'b), 'ü ~/', '_op'), 'md5("x\\y`z")' ],
		q{"Odd ""s'chema"."T `a""b\\c d/e~f%ü_latest"},
		[ (map { qq{"$_"} } qw(select year_ c1 pos t group), 'Key ""one', 'YEAR__', q(a'b), 'ü ~/', '_op_'), 'md5("x\\y`z")' ] ],
	[ 'nothing', [qw(id v)] ]);

# ---- the same without the bounds of truncated partitions ----

my ($regions) = ddl_of($cdc, '--engine=duckdb', '--view=latest', 'public.regions');
like($regions, qr/^-- not seen: .*--truncates looks for them/m, 'says what the view does not see');
unlike($regions, qr/ALTER|"items"/, 'one table only');

# ---- a table under another name; a column that has the partition's name ----

my $renamed = ddl_of($cdc, '--engine=trino', '--view=latest', 'public.*');
like($renamed, qr/^-- NOT WHOLE: up to LSN \S+ the table was named "was", and its rows lie there; .*snapshot/m, 'renamed: said');
unlike($renamed, qr/"public"\."was/, 'and the old name has no view');
like($renamed, qr/^  dh__ varchar WITH .*\n\)\nWITH \([^;]*is_now\/\$\{dh__\}'/m, 'the key has a name of its own');

# ---- what a type cannot hold ----

$ddl = ddl_of($cdc, '--engine=duckdb', '--view=latest', '--table=public.odd_values');
is_deeply(
	[ duckdb($ddl . 'select id, ts, d, n, f, a, j, jb, t from public.odd_values_latest order by id') ],
	[
		[ 1, 'infinity', '-infinity', undef, 'nan', '[1, 2]', 'null', 'null', '24:00:00' ],
		[ 2, undef, '0044-03-15 (BC)', '1.50', '-inf', undef, undef, undef, undef ],
		[ 3, '2026-11-21 08:14:07.5+00', '2026-11-21', '-1.50', '-0.0', '[]', '{"a":1.1}', '[1.1]', '08:14:00' ]
	],
	'odd values');

# ---- all changes, each once ----

$ddl = ddl_of($cdc, '--engine=duckdb', '--view=changes', 'public.pairs', 'public.altered');
is_deeply([ duckdb("$ddl select count(*), count(distinct (_lsn, _seq)), count(*) filter (_op = 'u' and _key is not null)"
			  . ' from public.pairs_changes') ],
	[ [ 200 + 2 * 80, 200 + 2 * 80, 160 ] ], 'changes: each once');
is_deeply([ duckdb("$ddl select w, c, gone from public.altered_changes where id = 1 order by _lsn, _seq") ],
	[ [ 'v1', 'dflt', undef ], [ 'y', 'dflt', undef ] ], 'a column has its name of now, and what rows had before it');
my ($object) = grep { m{^public/pairs/.*part-} } $cdc->objects;
my $folder = $cdc->{store}{folder};
system('cp', "$folder/$object", "$folder/" . $object =~ s/part-/part-9/r) == 0 or die 'cp';
is_deeply([ duckdb("$ddl select count(*) from public.pairs_changes") ],
	[ [ 200 + 2 * 80 ] ], 'changes: each once, too where an object lies there that no entry lists');
same_rows('shop', ddl_of($cdc, '--engine=duckdb', '--view=latest', 'public.pairs'),
	[ 'pairs', [qw(a b md5(big))] ]);

# ---- a load is announced, done, and what came before it does not count ----

$source->psql('shop', "alter table loaded_again alter r type bytea using decode(md5(random()::text), 'hex')");
my $r = $cdc->call('snapshot', '--wait', 'public.loaded_again');
is($r->{code}, 0, 'loaded anew') or diag $r->{err};
$source->psql('shop', q{update loaded_again set v = 'after' where id < 10; delete from loaded_again where id = 10});
ok($cdc->wait_durable, 'durable') or diag $run->errors;
same_rows('shop', ddl_of($cdc, '--engine=duckdb', '--view=latest', 'public.loaded_again'),
	[ 'loaded_again', [ 'id', 'v', q{encode(r, 'hex')} ], undef, [ 'id', 'v', 'lower(hex(r))' ] ]);
$run->stop('TERM');

# ---- folders and compressions ----

$source->psql('postgres', 'create database small');
$source->psql('small', q{create table t (id int primary key, v text); insert into t select g, 'v' from generate_series(1, 10) g});
for ([qw(none gzip)], [qw(day none)])
{
	my ($partition, $compression) = @$_;
	my $small = sidecar($source, 'small', file_store(), slot => "s_$partition",
		flags => [ '--flush.interval=1s', "--output.partition=$partition", "--output.compression=$compression" ]);
	$small->ok('init');
	my $other = $small->start;
	ok($small->wait_loaded, "$partition, $compression: loaded") or diag $other->errors;
	$source->psql('small', 'update t set id = id + 100 where id < 5; delete from t where id = 5');
	ok($small->wait_durable, 'durable') or diag $other->errors;
	$other->stop('TERM');
	same_rows('small', ddl_of($small, '--engine=duckdb', '--view=latest'), [ 't', [qw(id v)] ]);
	my $athena = ddl_of($small, '--engine=athena');
	($partition eq 'day' ? \&like : \&unlike)->($athena, qr/'projection.dh.interval.unit' = 'DAYS'/, 'projection by day');
}

my $moved = sidecar($source, 'small', file_store(), slot => 's_moved',
	flags => [ '--flush.interval=1s', '--output.path={table}/{schema}/year={yyyy}' ]);
$moved->ok('init');
my $third = $moved->start;
ok($moved->wait_loaded, 'another output.path: loaded') or diag $third->errors;
$third->stop('TERM');
unlike(ddl_of($moved, "--engine=$_"), qr/NOT WHOLE/, "$_ reads them") for qw(spark trino);

# ---- loads that are half done, by hand ----

sub lake_ddl
{
	my ($lake, @args) = @_;
	my $d = run_cdc('ddl', "--store.url=file://$lake->{folder}", '--engine=duckdb', '--view=latest', @args);
	is($d->{code}, 0, 'ddl of a lake by hand') or diag $d->{err};
	return $d->{out};
}

my $lake = CdcS3::Lake->new(folder => temp_folder());
my $t = $lake->table('public.t', key => ['id'], columns => [ [ id => 'int4', 'pk' ], [ v => 'text' ] ]);
$lake->entry(end => 0x2000, loads => [ [ 'a' x 16, $t, 'open' ] ],
	schemas => [ { of => $t, lsn => 0x1500, seq => 1 } ], rows => [ [ $t, i => 0x1500, 1, { id => 1, v => '"early"' } ] ]);
my $waits = lake_ddl($lake);
like($waits, qr/^-- NOT YET: the first load is not done/m, 'the first load is not done: said');
is_deeply([ duckdb("$waits select * from public.t_latest") ], [], 'and the view is empty');

# A table that was made under run's eyes, and then a load that somebody asked for.
$lake = CdcS3::Lake->new(folder => temp_folder());
$t = $lake->table('public.t', key => ['id'], columns => [ [ id => 'int4', 'pk' ], [ v => 'text' ] ]);
my $rows_now = sub {
	return [ map { join ':', @$_ } duckdb(lake_ddl($lake) . 'select id, v from public.t_latest order by id') ];
};
$lake->entry(end => 0x2000, schemas => [ { of => $t, lsn => 0x1500, seq => 1, created => 1 } ],
	rows => [ map { [ $t, i => 0x1500, $_, { id => $_, v => '"first"' } ] } 1 .. 3 ]);
$lake->entry(end => 0x3000, loads => [ [ 'b' x 16, $t, 'open' ] ],
	rows => [ [ $t, d => 0x2500, 1, { id => 1 } ], [ $t, u => 0x2900, 1, { id => 2, v => '"changed"' } ] ]);
$lake->write_file('public/t/year=2026/month=11/day=21/hour=08/load-' . 'b' x 16 . '-0001-9f3a1c07.json',
	CdcS3::Lake::line($t, r => 0x2800, 2**40, { id => 7, v => '"half"' }));
is_deeply($rows_now->(), [ '2:changed', '3:first' ], 'rows of a load that is not done do not count');
$lake->entry(end => 0x4000, loads => [ [ 'b' x 16, $t, 'done', 0x2800 ] ],
	schemas => [ { of => $t, lsn => 0x2800, seq => 2**40 } ],
	load => { 'b' x 16 => [ map { [ $t, r => 0x2800, 2**40 + 10 + $_, { id => $_, v => '"loaded"' } ] } 2, 4 ] });
unlink glob "$lake->{folder}/public/t/*/*/*/*/load-*-0001-*";
is_deeply($rows_now->(), [ '2:changed', '4:loaded' ], 'once it is done nothing but its rows, and what is behind it');
like(run_cdc('ddl', "--store.url=file://$lake->{folder}", '--engine=athena')->{out},
	qr{'year=2026/month=11/day=20/hour=08,NOW\+1HOURS'}, 'the projection begins a day before the first object');
$lake->entry(end => 0x5000, schemas => [ { of => $t, lsn => 0x4500, seq => 1, gone => 1 } ]);
is(run_cdc('ddl', "--store.url=file://$lake->{folder}", '--engine=duckdb')->{code}, 2, 'a table that is gone has no view');

# ---- errors, and what has no view ----

for (
	[ ['--engine=oracle'], qr/knows no engine "oracle"; write --engine and one of duckdb, athena, / ],
	[ [], qr/needs to know the engine; write --engine/ ],
	[ [ '--engine=trino', '--view=now' ], qr/knows no view "now"; write --view changes, or --view latest/ ],
	[ [ '--engine=trino', '--keys=2' ], qr/--keys has the value "2"; write --keys one, or --keys four/ ],
	[ [ '--engine=trino', 'public.none' ], qr/the lake has no table of "public.none"; / ],
	[ [ '--engine=trino', 'a"b' ], qr/"a"b" names no table; write schema.table/ ],
	[ [ '--engine=glue', '--view=latest' ], qr/makes no view; --engine athena/ ])
{
	my ($args, $want) = @$_;
	my $e = $cdc->on_lake('ddl', @$args);
	is($e->{code}, 2, "ddl @$args: exit code 2");
	like($e->{err}, qr/\A[^\n]*$want[^\n]*\n\z/, "ddl @$args: one line");
}
like(ddl_of($cdc, '--engine=spark', '--view=latest', 'public.keyless'),
	qr/^-- no view of the rows of now: .* primary key, or REPLICA IDENTITY FULL$/m, 'no key: said');

# ---- the other engines: their SQL is parsed ----

my $parse = <<'PYTHON';
import logging, sqlglot, sys
logging.disable(logging.WARNING)
for s in sqlglot.parse(sys.stdin.read() if len(sys.argv) < 3 else open(sys.argv[2], encoding="utf-8").read(), dialect=sys.argv[1]):
    if s is not None:
        print(type(s).__name__, (s.sql(dialect=sys.argv[1], comments=False)[:40]).replace("\n", " "))
PYTHON

for my $engine (qw(athena trino spark clickhouse snowflake redshift duckdb))
{
	for my $view (qw(latest changes))
	{
		for my $keys (qw(one four))
		{
			# Athena has no such odd names.
			my @of = $engine eq 'athena' ? 'public.*' : ();
			my $sql = ddl_of($cdc, "--engine=$engine", "--view=$view", "--keys=$keys", '--truncates', @of);
			my $path = temp_folder() . '/x.sql';
			open my $f, '>:utf8', $path or die $!;
			print {$f} $sql;
			close $f;
			my $p = python($parse, $engine, $path);
			is($p->{code}, 0, "$engine: parsed") or diag $p->{err};
			my @views = grep { /^Create CREATE OR REPLACE VIEW/ } split /\n/, $p->{out};
			cmp_ok(scalar(@views), '>=', 10, "$engine: " . @views . ' views');
			unlike($p->{out}, qr/^Command (?!MSCK|CALL|ALTER EXTERNAL|CREATE EXTERNAL SCHEMA)/m,
				"$engine: nothing that is not understood");
		}
	}
}
my $glue = $json->decode($cdc->on_lake('ddl', '--engine=glue', 'public.pairs')->{out});
is($glue->{DatabaseName}, 'public', 'glue: the database');
is($glue->{TableInput}{Name}, 'pairs', 'glue: the table');
is($glue->{TableInput}{Parameters}{'projection.dh.interval.unit'}, 'HOURS', 'glue: one key');
like($glue->{TableInput}{Parameters}{'projection.dh.range'},
	qr{^year=\d{4}/month=\d\d/day=\d\d/hour=\d\d,NOW\+1HOURS$}, 'glue: its range');
like($glue->{TableInput}{StorageDescriptor}{Location}, qr{/public/pairs/$}, 'glue: the place');
my %types = map { $_->{Name} => $_->{Type} } @{ $glue->{TableInput}{StorageDescriptor}{Columns} };
is($types{b}, 'int', 'glue: a type');
is($types{_unchanged}, 'array<string>', 'glue: a list');

done_testing();
