#-------------------------------------------------------------------------
# The format of the objects makes no difference: the same changes, written as
# JSON, in three ways as CSV and in two as Parquet, replay to the same records and merge to the
# same tables, also when a writer is killed.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
my $demo = top_folder() . '/test/demo/sql';
my @tables = qw(hostile wide nokey countries fundrecs_schema.customers
  fundrecs_schema.orders delivery.orders documents stock_take);

$source->psql('postgres', 'create database shop');
$source->psql('shop', slurp("$demo/fill.sql"));
$source->copy_csv('shop', 'countries (cca3, name, capital, region, population)',
	top_folder() . '/test/data/countries.csv');
$source->psql('shop', <<'SQL');
create table hostile (id integer primary key, "a,""b" text, ints integer[], texts text[], js json, jb jsonb, by bytea);
create table wide (id integer primary key, f float8, n numeric, d date, ts timestamptz, iv interval, r int4range, e text);
alter table wide alter column e set storage external;
create table nokey (a text, b integer);
alter table nokey replica identity full;
SQL

# Text that CSV has to mind, on each of its ways into a record.
sub changes
{
	my ($from) = @_;
	return <<"SQL";
insert into hostile select $from + i,
	(array['', '\\N', '"', ',', E'\\n', E'\\r\\n', E'\\\\', '  ', E'\\\\n', 'é😀', E'a"b,c\\nd', null])[1 + i % 12],
	(array['{}', '{1,NULL,-3}', '{{1},{2}}', '[2:3]={1,2}', null]::text[])[1 + i % 5]::integer[],
	(array['{"a,b","q\\"x",NULL,"NULL"}', '{}', null]::text[])[1 + i % 3]::text[],
	(array['null', E'{"a":\\t [1]}', ' 5 ', '"\\\\n"', null])[1 + i % 5]::json,
	(array['null', '{"a": "\\""}', null])[1 + i % 3]::jsonb,
	(array['', '\\x00ff0a0d225c', null])[1 + i % 3]::bytea
	from generate_series(1, 120) i;
update hostile set "a,""b" = E'"\\n' || id where id % 3 = 0;
update hostile set id = -id where id % 7 = 0;
delete from hostile where id % 11 = 0;
insert into wide select $from + i, 'NaN', i / 3.0, '0044-03-15 BC', 'infinity', '-1 mon', '[1,5)', repeat(E'"\\n\\\\', 3000)
	from generate_series(1, 20) i;
update wide set f = -0.0, n = 'NaN' where id % 2 = 0;
insert into nokey values (E'x\\n', 1), (null, null), ('"', 2);
update nokey set a = a || ',' where b = 1;
delete from nokey where b is null;
truncate documents;
SQL
}
$source->psql('shop', changes(1000));

my %ways = (
	json => [],
	keep => ['--output.format=csv'],
	escape => [
		'--output.format=csv', '--output.csv_newlines=escape',
		'--output.compression=gzip'
	],
	before => [
		'--output.format=csv', '--output.compression=none',
		'--output.numeric=string'
	],
	parquet => ['--output.format=parquet'],
	snappy => [
		'--output.format=parquet', '--output.compression=snappy',
		'--output.parquet_timestamp=ms'
	]);
my (%cdc, %run);
for my $way (sort keys %ways)
{
	$target->psql('postgres', "create database $way");
	$cdc{$way} = sidecar(
		$source, 'shop', file_store(),
		target => $target,
		target_db => $way,
		slot => "slot_$way",
		flags => $ways{$way});
	$cdc{$way}->ok('init');
	$run{$way} = $cdc{$way}->start;
	ok($cdc{$way}->wait_loaded, "$way: tables are loaded")
	  or diag $run{$way}->errors;
}

$source->psql('shop', slurp("$demo/changes.sql"));
$source->psql('shop', changes(2000));
# Two are killed while there is something to write.
$run{$_}->stop('KILL', 60) for qw(keep parquet);
$source->psql('shop', changes(3000));
$run{$_} = $cdc{$_}->start for qw(keep parquet);
for my $way (sort keys %ways)
{
	ok($cdc{$way}->wait_durable, "$way: changes are durable")
	  or diag $run{$way}->errors;
	is($run{$way}->stop('TERM', 60), 0, "$way: run stops")
	  or diag $run{$way}->errors;
}

# Loads have snapshots of their own; the stream is one for all of them.
my %records;
for my $way (sort keys %ways)
{
	my ($load, $stream) = ([], []);
	for my $line (split /\n/, $cdc{$way}->replay)
	{
		$line =~ s/("n":)"([-0-9.]+)"/$1$2/ if $way eq 'before';
		if ($line !~ /"_op":"r"/)
		{
			push @$stream, $line;
			next;
		}
		$line =~ s/"_lsn":.*?,"_ts":".*?"//;
		push @$load, $line;
	}
	$records{$way} = { load => join("\n", sort @$load), stream => join("\n", @$stream) };
	cmp_ok(scalar @$load, '>', 100, "$way: rows were loaded");
}
for my $way (qw(keep escape parquet snappy))
{
	ok($records{$way}{$_} eq $records{json}{$_}, "$way: the records of the $_ are those of JSON")
	  for qw(load stream);
}

for my $way (sort keys %ways)
{
	my $suffix = { json => 'json.zst', keep => 'csv.zst', escape => 'csv.gz', before => 'csv',
		parquet => 'parquet', snappy => 'parquet' }->{$way};
	my @objects = grep { m{/part-} } split /\n/,
	  capture([ 'find', $cdc{$way}{store}{folder}, '-type', 'f' ])->{out};
	cmp_ok(scalar @objects, '>', 5, "$way: objects");
	is(scalar(grep { !/\.\Q$suffix\E$/ } @objects), 0, "$way: all are .$suffix");
	$cdc{$way}->ok('merge', '--merge.until=now');
	tables_equal($source, 'shop', $target, $way, @tables);
}

# The format changes from one run to the next: one lake, one merge.
$cdc{json}{flags} = $ways{escape};
$run{json} = $cdc{json}->start;
$source->psql('shop', changes(4000));
ok($cdc{json}->wait_durable, 'changes after JSON are durable') or diag $run{json}->errors;
is($run{json}->stop('TERM', 60), 0, 'run stops') or diag $run{json}->errors;
$cdc{json}{flags} = $ways{parquet};
$run{json} = $cdc{json}->start;
$source->psql('shop', changes(5000));
ok($cdc{json}->wait_durable, 'and Parquet') or diag $run{json}->errors;
is($run{json}->stop('TERM', 60), 0, 'run stops') or diag $run{json}->errors;
$cdc{json}{flags} = [];
$run{json} = $cdc{json}->start;
$source->psql('shop', 'update hostile set id = id + 100000 where id % 5 = 0');
ok($cdc{json}->wait_durable, 'and JSON again') or diag $run{json}->errors;
is($run{json}->stop('TERM', 60), 0, 'run stops') or diag $run{json}->errors;
$cdc{json}->ok('merge', '--merge.until=now');
tables_equal($source, 'shop', $target, 'json', @tables);

done_testing();
