#-------------------------------------------------------------------------
# output.key_change = split: an update that changes the key is a delete of the
# old one, marked _moved, and the update.  The query that everybody writes is
# then equal to the source in DuckDB, in each format; merge and replay make of
# the two what they make of the one.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use JSON::PP;

use CdcS3::Engines qw(have_engines engines_missing duckdb);
use CdcS3::Test;

plan skip_all => engines_missing() unless have_engines();

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;

$source->psql('postgres', 'create database shop');
$source->psql('shop', <<'SQL');
create table plain (id int primary key, v text);
create table pairs (a text, b int, v text, primary key (b, a));
create table amounts (n numeric primary key, v int);
create table toasted (id int primary key, v int, big text);
alter table toasted alter big set storage external;
create table filled (id int primary key, v int, big text);
alter table filled alter big set storage external, replica identity full;
create table bag (v int, w text);
alter table bag replica identity full;
create table huge (id int primary key, v int, big text);
create table keyless (v int, big text);
create table parts (id int, region text, v int, primary key (id, region)) partition by list (region);
create table parts_eu partition of parts for values in ('eu');
create table parts_us partition of parts for values in ('us');
SQL

my $changes = <<'SQL';
insert into plain select g, 'v' || g from generate_series(1, 60) g;
update plain set id = id + 1000 where id % 3 = 0;
update plain set id = id + 1000, v = 'twice' where id > 1000 and id % 2 = 0;
begin; update plain set id = -1 where id = 1; update plain set id = 1 where id = 2; update plain set id = 2 where id = -1; commit;
begin; update plain set id = -4 where id = 4; update plain set id = 4 where id = -4; commit;
delete from plain where id = 1003;
insert into plain values (3, 'again');
insert into pairs select 'k' || g, g % 5, 'v' from generate_series(1, 40) g;
update pairs set b = b + 100 where b < 2;
update pairs set a = a || 'x', v = 'both' where b >= 100;
insert into amounts select g, g from generate_series(1, 20) g;
update amounts set n = n * 1.00 where v % 2 = 0;		-- the same number in other words
insert into toasted select g, g, repeat(md5(g::text), 200) from generate_series(1, 30) g;
update toasted set id = id + 100, v = 0 where id % 2 = 0;	-- big is unchanged
update toasted set v = 1 where id % 3 = 0;
insert into filled select g, g, repeat(md5(g::text), 200) from generate_series(1, 30) g;
update filled set id = id + 100, v = 0 where id % 2 = 0;
update filled set v = 1 where id % 3 = 0;
insert into bag select g % 3, 'w' from generate_series(1, 12) g;
update bag set v = 7 where v = 1;
insert into huge select g, g, repeat(md5(g::text), 300000) from generate_series(1, 2) g;
update huge set id = id + 100, big = 'x' || big;		-- rows in parts
update huge set id = id + 100;					-- and big is unchanged
insert into parts select g, 'eu', g from generate_series(1, 12) g;
update parts set id = id + 100 where id % 2 = 0;
update parts set region = 'us' where id % 3 = 0;		-- the partition, too
SQL

my %ways = (
	record => [],
	json => ['--output.key_change=split'],
	rows => [ '--output.key_change=split', '--output.max_rows=1', '--output.compression=none' ],
	csv => [ '--output.key_change=split', '--output.format=csv' ],
	parquet => [ '--output.key_change=split', '--output.format=parquet', '--output.unchanged=old' ]);
my (%cdc, %run);
for my $way (sort keys %ways)
{
	$target->psql('postgres', "create database $way");
	$cdc{$way} = sidecar(
		$source, 'shop', file_store(),
		target => $target,
		target_db => $way,
		slot => "slot_$way",
		flags => [ '--flush.interval=1s', @{ $ways{$way} } ]);
	$cdc{$way}->ok('init');
	$run{$way} = $cdc{$way}->start;
	ok($cdc{$way}->wait_loaded, "$way: tables are loaded") or diag $run{$way}->errors;
}
$source->psql('shop', $changes);
for my $way (sort keys %ways)
{
	ok($cdc{$way}->wait_durable, "$way: changes are durable") or diag $run{$way}->errors;
	is($run{$way}->stop('TERM', 60), 0, "$way: run stops") or diag $run{$way}->errors;
}

# ---- what stands in the lake ----

my @moved = duckdb("select id, _seq, _op, _moved, _key, v from read_json('$cdc{json}{store}{folder}/public/plain/**/*.json.zst',"
	  . ' columns = {_op: VARCHAR, _lsn: VARCHAR, _seq: BIGINT, _moved: BOOLEAN, _key: JSON, id: INT, v: VARCHAR})'
	  . ' where id in (4, -4) order by _lsn, _seq');
my $seq = $moved[1][1];
is_deeply(
	\@moved,
	[
		[ 4, $moved[0][1], 'i', undef, undef, 'v4' ],
		[ 4, $seq, 'd', 'true', undef, undef ],
		[ -4, $seq + 1, 'u', undef, '{"id":4}', 'v4' ],
		[ -4, $seq + 2, 'd', 'true', undef, undef ],
		[ 4, $seq + 3, 'u', undef, '{"id":-4}', 'v4' ]
	],
	'a key that changes and changes back');
my ($halves) = duckdb("select count(*) from read_json('$cdc{rows}{store}{folder}/public/plain/**/*.json',"
	  . ' columns = {_op: VARCHAR, _moved: BOOLEAN}, filename = true) group by filename order by 1 desc limit 1');
is($halves->[0], 1, 'with output.max_rows=1 the two halves are in two objects');

# ---- replay and merge ----

my %replayed = map { $_ => $cdc{$_}->replay } keys %ways;
for my $way (sort keys %ways)
{
	my $stream = join "\n", grep { !/"_op":"r"/ } split /\n/, $replayed{$way};
	my $record = join "\n", grep { !/"_op":"r"/ } split /\n/, $replayed{record};
	ok($stream eq $record, "$way: replay is that of output.key_change=record");
	$cdc{$way}->ok('merge', '--merge.until=now');
	tables_equal($source, 'shop', $target, $way, qw(plain pairs amounts toasted filled bag huge parts));
	is($target->psql($way, 'select count(*) from cdc_s3.rejected'), 0, "$way: nothing is rejected");
}
# The other way of merge, and rows of the target's own columns stay.
$target->psql('postgres', 'create database exact');
$cdc{csv}{target_db} = 'exact';
$cdc{csv}->ok('merge', '--merge.until=now', '--merge.way=exact');
tables_equal($source, 'shop', $target, 'exact', qw(plain pairs amounts toasted filled bag huge parts));

# ---- the query that everybody writes ----

my %columns = (
	plain => [ 'id', { id => 'INT', v => 'VARCHAR' }, 'id' ],
	pairs => [ 'b, a', { a => 'VARCHAR', b => 'INT', v => 'VARCHAR' }, 'b, a' ],
	amounts => [ 'n', { n => 'DECIMAL(10,2)', v => 'INT' }, 'n' ],
	filled => [ 'id', { id => 'INT', v => 'INT', big => 'VARCHAR' }, 'id' ],
	huge => [ 'id', { id => 'INT', v => 'INT' }, 'id' ],
	parts => [ 'id, region', { id => 'INT', region => 'VARCHAR', v => 'INT' }, 'id, region' ]);

sub reads
{
	my ($way, $table, $columns) = @_;
	my $folder = "$cdc{$way}{store}{folder}/public/$table";
	my $list = join ', ', (map { qq{$_: 'VARCHAR'} } qw(_op _lsn)), q{_seq: 'BIGINT'}, map { "$_: '$columns->{$_}'" } sort keys %$columns;
	return "read_parquet('$folder/**/*.parquet', union_by_name = true)" if $way eq 'parquet';
	return "read_csv('$folder/**/*.csv.zst', header = true, nullstr = '\\N', allow_quoted_nulls = false, union_by_name = true, max_line_size = 100000000)"
	  if $way eq 'csv';
	return "read_json('$folder/**/*.json.zst', columns = {$list}, maximum_object_size = 100000000)";
}

for my $way (qw(json csv parquet))
{
	for my $table (sort keys %columns)
	{
		my ($key, $columns) = @{ $columns{$table} };
		my @names = sort keys %$columns;
		my $list = join ', ', map { $columns->{$_} =~ /DECIMAL/ ? "CAST($_ AS DECIMAL(10,2))" : $_ } @names;
		$list =~ s/\bbig\b/md5(big)/;
		my @have = eval { duckdb('select ' . $list . ' from (select *, row_number() over (partition by '
				  . ($table eq 'amounts' ? 'CAST(n AS DECIMAL(10,2))' : $key)
				  . ' order by _lsn desc, _seq desc) as last from ' . reads($way, $table, $columns)
				  . q{) where last = 1 and _op <> 'd'}) };
		is($@, '', "$way, $table: DuckDB runs it") or next;
		$list =~ s/CAST\(n AS DECIMAL\(10,2\)\)/n::numeric(10,2)/;
		my @want = map { JSON::PP->new->decode($_) } split /\n/,
		  $source->psql('shop', 'select jsonb_build_array('
			  . join(', ', map { "($_)::text" } split /, (?![^(]*\))/, $list) . ") from $table");
		my @got = map { join '|', map { $_ // '-' } @$_ } @have;
		my @expected = map { join '|', map { $_ // '-' } @$_ } @want;
		is(join("\n", sort @got), join("\n", sort @expected), "$way, $table: " . @want . ' rows, equal to the source');
	}
}
# And without the setting it is not.
my ($wrong) = duckdb('select count(*) from (select *, row_number() over (partition by id order by _lsn desc, _seq desc) as last from '
	  . (reads('json', 'plain', $columns{plain}[1]) =~ s/\Q$cdc{json}{store}{folder}\E/$cdc{record}{store}{folder}/r)
	  . q{) where last = 1 and _op <> 'd'});
cmp_ok($wrong->[0], '>', $source->psql('shop', 'select count(*) from plain'), 'record: old keys stay');

# ---- the view of "ddl" is right with and without ----

for my $way (qw(record json))
{
	my $r = $cdc{$way}->on_lake('ddl', '--engine=duckdb', '--view=latest', 'public.plain', 'public.toasted', 'public.bag');
	is($r->{code}, 0, "$way: ddl") or diag $r->{err};
	for my $table ([ plain => 'id', 'v' ], [ toasted => 'id', 'md5(big)' ], [ bag => 'v', 'w' ])
	{
		my ($name, @list) = @$table;
		my @have = map { join '|', @$_ } duckdb("$r->{out} select $list[0], $list[1] from public.${name}_latest");
		my @want = map { join '|', @{ JSON::PP->new->decode($_) } } split /\n/,
		  $source->psql('shop', "select jsonb_build_array($list[0]::text, $list[1]) from $name");
		is(join("\n", sort @have), join("\n", sort @want), "$way: ${name}_latest is equal to the source");
	}
	my $changes = $cdc{$way}->on_lake('ddl', '--engine=duckdb', '--view=changes', 'public.plain');
	my ($count) = duckdb("$changes->{out} select count(*) from public.plain_changes");
	is($count->[0], scalar(grep { /"_table":"plain"/ } split /\n/, $replayed{record}), "$way: each change once");
}

# ---- check names the tables where that is not enough ----

my $check = $cdc{json}->call('check');
like($check->{out}, qr/public\.toasted: updates may leave out big/, 'check: TOAST columns');
like($check->{out}, qr/public\.bag has no key/, 'check: rows without a key');
like($check->{out}, qr/public\.keyless has no key/, 'check: no replica identity');
unlike($check->{out}, qr/last change of a key.*public\.(amounts|filled|parts_eu)/, 'check: no others');
unlike($cdc{record}->call('check')->{out}, qr/last change of a key/, 'check: nothing where nobody asked for it');

done_testing();
