#-------------------------------------------------------------------------
# One transaction of two million rows under a small memory budget: it goes
# through, memory stays bounded, and it is one entry.
#
# CDCS3_TEST_ROWS makes it smaller or larger.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

my $rows = $ENV{CDCS3_TEST_ROWS} // 2_000_000;
my $source = new_cluster('source', conf => ['max_wal_size = 8GB'])->start;
my $target = new_cluster('target', conf => ['max_wal_size = 8GB'])->start;
$source->psql('postgres', <<'SQL');
create table big (id integer primary key, a text, b numeric, c timestamptz);
create table small (id integer primary key);
SQL

my $cdc = sidecar(
	$source, 'postgres', file_store(),
	target => $target,
	flags => [ '--memory.limit=32MB', '--flush.interval=1s' ]);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'empty tables are loaded') or diag $run->errors;

$source->psql('postgres', <<"SQL", timeout => 600);
insert into small values (1);
begin;
insert into small values (2);
insert into big select i, 'row ' || md5(i::text), i / 7.0, now() from generate_series(1, $rows) i;
insert into small values (3);
commit;
insert into small values (4);
SQL
ok($cdc->wait_durable(600), 'the transaction is durable') or diag $run->errors;

memory_below($run, 64);
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

my (@with, $objects);
for my $entry ($cdc->entries)
{
	my $here = 0;
	my @big = grep { $_->{table} eq 'big' && !$_->{load} }
	  $cdc->entry_objects($entry);
	$here += $_->{rows} for @big;
	$objects += @big;
	push @with, [ $entry->{entry}, $here ] if $here;
}
is(scalar @with, 1, 'one entry lists the transaction');
is($with[0][1], $rows, 'with all its rows');
# A line has less than 200 bytes, and an object 128 MB of them.
cmp_ok($objects, '<=', 2 + $rows * 200 / (128 << 20),
	'in objects of a sensible size');

$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'postgres', $target, 'postgres', qw(big small));

done_testing();
