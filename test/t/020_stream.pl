#-------------------------------------------------------------------------
# The whole way: rows that are there before, all kinds of changes, the lake's
# records and entries, merge into an empty target, again and again.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use JSON::PP;

use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', 'create database shop; create database other');
$target->psql('postgres', 'create database shop_copy');
my $demo = top_folder() . '/test/demo/sql';
$source->psql('shop', slurp("$demo/fill.sql"));
$source->copy_csv('shop', 'countries (cca3, name, capital, region, population)',
	top_folder() . '/test/data/countries.csv');
my @tables = qw(countries fundrecs_schema.customers fundrecs_schema.orders
  delivery.orders documents stock_take);

my $cdc = sidecar(
	$source, 'shop', file_store(),
	target => $target,
	target_db => 'shop_copy');
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'tables are loaded') or diag $run->errors;

# A merge before anything changed: the load alone.
ok($cdc->wait_durable, 'load is durable') or diag $run->errors;
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'shop', $target, 'shop_copy', @tables);

# Changes, and then a merge of just these.
$source->psql('shop', slurp("$demo/changes.sql"));
ok($cdc->wait_durable, 'changes are durable') or diag $run->errors;
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'shop', $target, 'shop_copy', @tables);

# Merging what is merged does nothing, not even to the rows' versions.
my $versions = 'select md5(string_agg(xmin::text || ctid::text, \',\' '
  . 'order by order_id)) from fundrecs_schema.orders';
my $before = $target->psql('shop_copy', $versions);
$cdc->ok('merge', '--merge.until=now');
is($target->psql('shop_copy', $versions), $before, 'a second merge is none');

# A table born while the stream runs, and columns that come and go.
$source->psql('shop', <<'SQL');
create table late (id integer primary key, a text, b numeric);
insert into late select i, 'a' || i, i / 3.0 from generate_series(1, 50) i;
alter table late add column c timestamptz;
insert into late values (51, null, 'NaN', '2026-11-21 10:00+00'), (52, '', -0.0, 'infinity');
update late set c = '0044-03-15 12:00+00 BC' where id = 7;
SQL
ok($cdc->wait_durable, 'a new table is durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0 on TERM') or diag $run->errors;
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'shop', $target, 'shop_copy', 'late');

# What was written while nobody listened.
$source->psql('shop', "delete from late where id < 10; truncate stock_take");
$run = $cdc->start;
ok($cdc->wait_durable, 'run goes on where it stopped') or diag $run->errors;
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'shop', $target, 'shop_copy', @tables, 'late');

# WAL of another database must not pile up behind the slot.
my $lsn = $source->psql('other',
		'create table noise as select i, repeat(md5(i::text), 20) t '
	  . 'from generate_series(1, 60000) i; select pg_current_wal_lsn()');
ok( $source->poll_until(
		'shop',
		"select pg_wal_lsn_diff('$lsn', confirmed_flush_lsn) < 16 * 1024 * 1024 "
		  . "from pg_replication_slots where slot_name = 'cdc_s3'",
		90),
	'an idle database retains no WAL') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0 again') or diag $run->errors;

# The commit log is a chain.
my @entries = $cdc->entries;
my ($broken, $backwards) = (0, 0);
for my $i (1 .. $#entries)
{
	$broken++
	  if $entries[$i]{prev_end_lsn} ne $entries[ $i - 1 ]{end_lsn}
	  || $entries[$i]{entry} != $entries[ $i - 1 ]{entry} + 1;
	$backwards++ if $entries[$i]{end_lsn} lt $entries[ $i - 1 ]{end_lsn};
}
cmp_ok(scalar @entries, '>', 3, 'there are entries');
is($broken, 0, 'each entry starts where the one before ended');
is($backwards, 0, 'no entry ends before another');

# All that is listed is there, with its size; and nothing else is.
my (%listed, $wrong_size);
$wrong_size = 0;
for my $o (map { $cdc->entry_objects($_) } @entries)
{
	$listed{ $o->{key} } = $o->{rows};
	$wrong_size++
	  if (-s "$cdc->{store}{folder}/$o->{key}" // -1) != $o->{bytes};
}
is($wrong_size, 0, 'each listed object has its size');
is_deeply([ grep { !exists $listed{$_} } $cdc->objects ],
	[], 'no object is there that is not listed');

# Records: one line each, none twice; changes in order.  Loaded rows come where
# their load is done.
my $json = JSON::PP->new->utf8->allow_bignum;
my @lines = split /\n/, $cdc->replay;
my ($rows, $disorder, $twice, $last) = (0, 0, 0, '');
my %seen;
$rows += $_ for values %listed;
my %kinds;
my %sample;
for my $line (@lines)
{
	my ($op, $at, $seq) = $line =~
	  /"_op":"(\w)".*?"_lsn":"([0-9A-F]{16})".*?"_seq":(\d+)/ or die $line;
	my $key = sprintf '%s/%020d', $at, $seq;
	if ($op eq 'r')
	{
		$twice++ if $seen{$key}++;
	}
	else
	{
		$disorder++ if $key le $last;
		$last = $key;
	}
	$kinds{$op}++;
	$sample{unchanged} //= $line if $line =~ /"_unchanged":\["body"\]/;
	$sample{key} //= $line if $line =~ /"customer_id":9001/ && $op eq 'u';
	$sample{digits} //= $line if $line =~ /"price":89\.20[,}]/;
	$sample{delete} //= $line if $op eq 'd' && $line =~ /"order_id":150[,}]/;
}
is(scalar @lines, $rows, 'replay prints each listed row');
is($disorder, 0, 'changes are in order of (LSN, seq), none twice');
is($twice, 0, 'no loaded row is there twice');
ok($kinds{$_}, "there are records of kind $_") for qw(r i u d t);

ok($sample{digits}, 'numeric keeps its digits');
my $r = $json->decode($sample{unchanged} // '{}');
ok(!exists $r->{body}, 'an unchanged wide value is absent');
$r = $json->decode($sample{key} // '{}');
is(eval { $r->{_key}{customer_id} }, 1, 'a changed key names the old one');
$r = $json->decode($sample{delete} // '{}');
ok(exists $r->{order_id} && !exists $r->{price},
	'a delete has the key and no more');

# The same with other compressions: readable by the ordinary programs.
for my $way ([ gzip => 'gz', 'gzip', '-dc' ], [ none => '', 'cat' ])
{
	my ($name, $suffix, @reader) = @$way;
	my $other = sidecar(
		$source, 'shop', file_store(),
		slot => "slot_$name",
		flags => ["--output.compression=$name"]);
	$other->ok('init');
	my $p = $other->start;
	ok($other->wait_loaded && $other->wait_durable, "$name: tables are loaded")
	  or diag $p->errors;
	is($p->stop('TERM', 60), 0, "$name: run ends with 0") or diag $p->errors;
	my ($object) = grep { m{^public/countries/} } $other->objects;
	like($object // '', $suffix ? qr/\.json\.$suffix$/ : qr/\.json$/,
		"$name: object's name");
	my $text = capture([ @reader, "$other->{store}{folder}/$object" ])->{out};
	is(scalar(split /\n/, $text), 251, "$name: object's rows");
}

done_testing();
