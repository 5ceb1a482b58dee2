#-------------------------------------------------------------------------
# Load and stream choose tables, rows and columns by one rule: whatever a
# publication, a pattern, a partition or a bound says, what is loaded of a table
# is what the stream sends of it.  Each case has rows that are loaded and others
# that come after it by the stream, in the same tables.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Proc qw(poll);
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
my $n = 0;

sub drop_slot { return $source->psql('postgres', q{select pg_drop_replication_slot('cdc_s3')}) }

# Runs a case in a database of its own: "before" makes tables and rows that are
# loaded, "after" writes what is streamed.  "tables" says by name how many rows
# the target has then, loaded and streamed ones in any order, as "count|sum of id".
# No other table may be in the lake, and no value of a hidden column.
sub loaded_as_streamed
{
	my ($name, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $db = 'd' . ++$n;
	$_->psql('postgres', "create database $db") for $source, $target;
	$source->psql($db, $o{before});
	my $cdc = sidecar(
		$source, $db, file_store(),
		target => $target,
		flags => [ '--flush.interval=1s', @{ $o{flags} // [] } ]);
	$cdc->ok('init');
	my $run = $cdc->start;
	ok($cdc->wait_loaded, "$name: loaded") or diag $run->errors;
	$source->psql($db, $o{after});
	ok($cdc->wait_durable(60), "$name: streamed") or diag $run->errors;
	my $lines = $cdc->replay;
	is($run->stop('TERM', 60), 0, "$name: run ends with 0") or diag $run->errors;
	unlike($lines, qr/hidden/, "$name: nothing hidden is in the lake");
	my %tables = map { m{^([^/]+)/([^/]+)/} ? ("$1.$2" => 1) : () } $cdc->objects;
	is_deeply([ sort keys %tables ], [ sort keys %{ $o{tables} } ], "$name: these tables");
	$cdc->ok('merge', '--merge.until=now');
	for my $t (sort keys %{ $o{tables} })
	{
		is($target->psql($db, "select count(*), sum(id) from $t"),
			$o{tables}{$t}, "$name: $t");
	}
	drop_slot();
	return $db;
}

my $partitioned = <<'SQL';
create table root (id int, k int, v text, primary key (id, k)) partition by list (k);
create table leaf_0 partition of root for values in (0);
create table leaf_1 partition of root for values in (1);
create table mid partition of root for values in (2, 3) partition by list (k);
create table leaf_2 partition of mid for values in (2);
create table leaf_3 partition of mid for values in (3);
insert into root select 10 + k, k from generate_series(0, 3) k;
SQL
my $more = 'insert into root select 20 + k, k from generate_series(0, 3) k';

# ---- columns ----

my $db = loaded_as_streamed(
	'a column list',
	before => <<'SQL',
create table a (id int primary key, v text, secret text);
insert into a values (1, 'x', 'hidden');
create publication p for table a (id, v);
SQL
	after => "insert into a values (2, 'y', 'hidden'); update a set v = 'z' where id = 1",
	flags => ['--source.publication=p'],
	tables => { 'public.a' => '2|3' });
is( $target->psql($db, "select string_agg(attname, ',') from pg_attribute where attrelid = 'a'::regclass and attnum > 0"),
	'id,v', 'a column list: these columns');

loaded_as_streamed(
	'lists of several publications',
	before => <<'SQL',
create table a (id int primary key, v text, w text, secret text);
create table b (id int primary key, v text);
insert into a values (1, 'x', 'x', 'hidden');
insert into b values (1, 'x');
create publication "One, two" for table a (id, v);
create publication three for table a (id, w), b;
SQL
	after => "insert into a values (2, 'y', 'y', 'hidden'); insert into b values (2)",
	flags => ['--source.publication="One, two", THREE'],
	tables => { 'public.a' => '2|3', 'public.b' => '2|3' });

loaded_as_streamed(
	'a list for one, the whole table for another',
	before => <<'SQL',
create table a (id int primary key, v text, w text);
insert into a values (1, 'x', 'x');
create publication one for table a (id, v);
create publication two for all tables;
SQL
	after => "insert into a values (2, 'y', 'y')",
	flags => ['--source.publication=one,two'],
	tables => { 'public.a' => '2|3' });
is($target->psql("d$n", "select string_agg(w, ',' order by id) from a"),
	'x,y', 'a list for one, the whole table for another: all columns');

# ---- partitions ----

loaded_as_streamed(
	'partitions without a publication',
	before => $partitioned,
	after => $more,
	tables => { 'public.root' => '8|132' });

loaded_as_streamed(
	'a publication that sends partitions as they are',
	before => $partitioned . 'create publication p for table root',
	after => $more,
	flags => ['--source.publication=p'],
	tables => { map { ("public.leaf_$_" => '2|' . (30 + 2 * $_)) } 0 .. 3 });

loaded_as_streamed(
	'a publication via the root',
	before => $partitioned
	  . 'create publication p for table root with (publish_via_partition_root)',
	after => $more,
	flags => ['--source.publication=p'],
	tables => { 'public.root' => '8|132' });

loaded_as_streamed(
	'a table below the root, via itself',
	before => $partitioned . <<'SQL',
create publication p for table mid with (publish_via_partition_root);
create publication q for table leaf_0;
SQL
	after => $more,
	flags => ['--source.publication=p,q'],
	tables => { 'public.mid' => '4|70', 'public.leaf_0' => '2|30' });

loaded_as_streamed(
	'the highest of several',
	before => $partitioned . <<'SQL',
create publication p for table mid with (publish_via_partition_root);
create publication q for table root;
SQL
	after => $more,
	flags => ['--source.publication=p,q'],
	tables => { 'public.mid' => '4|70', 'public.leaf_0' => '2|30', 'public.leaf_1' => '2|32' });

loaded_as_streamed(
	'a schema, with a partition of another one',
	before => $partitioned . <<'SQL',
create schema other;
alter table leaf_1 set schema other;
create table other.plain (id int primary key);
insert into other.plain values (1);
create publication p for tables in schema other;
SQL
	after => "$more; insert into other.plain values (2)",
	flags => ['--source.publication=p'],
	tables => { 'other.leaf_1' => '2|32', 'other.plain' => '2|3' });

loaded_as_streamed(
	'a partition that is excluded',
	before => $partitioned,
	after => $more,
	flags => ['--source.exclude=public.leaf_1'],
	tables => { 'public.root' => '6|100' });

loaded_as_streamed(
	'one partition',
	before => $partitioned,
	after => $more,
	flags => ['--source.tables=public.leaf_1'],
	tables => { 'public.root' => '2|32' });

# What is not in the WAL as rows of ours is not loaded either.
loaded_as_streamed(
	'partitions that are not streamed',
	before => <<'SQL',
create extension file_fdw;
create server f foreign data wrapper file_fdw;
create table root (id int, k int) partition by list (k);
create table leaf_0 partition of root for values in (0);
create unlogged table leaf_1 partition of root for values in (1);
create foreign table leaf_2 partition of root for values in (2) server f
	options (program 'echo 100,2', format 'csv');
insert into root values (1, 0), (50, 1);
SQL
	after => 'insert into root values (2, 0), (60, 1)',
	tables => { 'public.root' => '2|3' });

# ---- inheritance, bounds, settings ----

loaded_as_streamed(
	'a table that others inherit from',
	before => <<'SQL',
create table parent (id int primary key, v text);
create table child (primary key (id)) inherits (parent);
insert into parent values (1), (2);
insert into child values (10), (20);
SQL
	after => 'insert into parent values (3); insert into child values (30)',
	tables => { 'public.parent' => '3|6', 'public.child' => '3|60' });

$source->conf("cdc_s3.allowed_tables = 'public.a'");
$source->reload;
ok($source->poll_until('postgres', "select current_setting('cdc_s3.allowed_tables', true) = 'public.a'"),
	'a bound');
loaded_as_streamed(
	'a bound',
	before => <<'SQL',
create table a (id int primary key);
create table b (id int primary key, v text);
insert into a values (1);
insert into b values (1, 'hidden');
SQL
	after => "insert into a values (2); insert into b values (2, 'hidden')",
	tables => { 'public.a' => '2|3' });
$source->conf("cdc_s3.allowed_tables = '*'");
$source->reload;
ok($source->poll_until('postgres', "select current_setting('cdc_s3.allowed_tables', true) = '*'"),
	'no bound');

# Settings of the connection string would go before those of the program.
$source->psql('postgres', 'create database settings');
$_->psql('postgres', 'create database styles') for $source, $target;
$source->psql('styles', <<'SQL');
create table t (id int primary key, i interval, d daterange, r tstzrange, m money[], c regclass, b bytea[]);
create table "Odd" (id int primary key);
insert into t select g, '1 year -2 days', '[2026-02-03,2026-04-05)', '[2026-02-03 04:05:06+07,)',
	array[1.5::money], '"Odd"', array['\x0102'::bytea] from generate_series(1, 1) g;
SQL
{
	my $cdc = sidecar($source, 'styles', file_store(), target => $target,
		flags => [
			'--flush.interval=1s',
			"--source.conninfo="
			  . $source->conninfo('styles')
			  . " options='-c datestyle=german -c intervalstyle=sql_standard -c timezone=Asia/Tokyo"
			  . " -c bytea_output=escape -c search_path=public -c quote_all_identifiers=on -c statement_timeout=1h'"
		]);
	$cdc->ok('init');
	my $run = $cdc->start;
	ok($cdc->wait_loaded, 'settings of the connection string: loaded') or diag $run->errors;
	$source->psql('styles', 'insert into t select 2, i, d, r, m, c, b from t');
	ok($cdc->wait_durable(60), 'streamed') or diag $run->errors;
	is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
	my @rows = map { s/^.*"id":\d,//r } grep { /"id":\d/ } split /\n/, $cdc->replay;
	is(scalar @rows, 2, 'both rows are there');
	is($rows[0], $rows[1], 'and look alike');
	drop_slot();
}

# ---- init refuses what the stream would ----

$source->psql('postgres', 'create database refused');
$source->psql('refused', <<'SQL');
create table t (id int primary key);
create publication good for table t;
create publication "Filtered" for table t where (id > 1);
SQL
for (
	[ 'good, missing', 4, qr/publication "missing" does not exist/ ],
	[ 'GOOD,"Filtered"', 4, qr/publication "Filtered" has a row filter.*ALTER PUBLICATION/s ],
	[ 'good,', 2, qr/source\.publication is no list of names: good,/ ])
{
	my ($list, $code, $says) = @$_;
	my $cdc = sidecar($source, 'refused', file_store(), flags => ["--source.publication=$list"]);
	my $r = $cdc->call('init');
	is($r->{code}, $code, "init with publications $list: exit code");
	like($r->{err}, $says, 'and what it says');
	is($source->psql('postgres', 'select count(*) from pg_replication_slots'), 0, 'no slot is made');
	is(scalar(() = $cdc->entry_files), 0, 'and no log');
	$r = $cdc->call('check');
	isnt($r->{code}, 0, 'check says no, too');
	like($r->{out}, qr/publication.*(missing|Filtered|no list of names)/, 'and why');
}

# ---- rights ----

# A policy hides rows from whom it is for: that is an error, not a short table.
$source->psql('postgres', 'create database rights');
$source->psql('rights', <<'SQL');
create role reader login replication;
create table t (id int primary key, who text);
insert into t values (1, 'reader'), (2, 'other');
alter table t enable row level security;
create policy p on t using (who = current_user);
grant select on t to reader;
SQL
{
	my $cdc = sidecar($source, 'rights', file_store(),
		flags => [
			'--source.conninfo=' . $source->conninfo('rights', user => 'reader')
		]);
	$cdc->ok('init');
	my $r = $cdc->call('run');
	is($r->{code}, 4, 'row security: exit code');
	like($r->{err}, qr/load of "public"\."t".*row-level security.*BYPASSRLS/s,
		'row security: the table and the mend');
	unlike($cdc->replay, qr/"_op":"r"/, 'row security: nothing is loaded');
	$source->psql('rights', 'alter role reader bypassrls');
	my $run = $cdc->start;
	ok($cdc->wait_loaded, 'row security: loaded where it does not hold') or diag $run->errors;
	is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
	my @rows = $cdc->replay =~ /"_op":"r"/g;
	is(scalar @rows, 2, 'row security: all rows');
}

done_testing();
