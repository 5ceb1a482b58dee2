#-------------------------------------------------------------------------
# Many tables, and one of 1,600 columns, as Parquet within memory.limit = 32 MB,
# in run and in merge.  Row groups of less than 1 MB are made at an object's end
# or where memory is short, and are counted.
#
# CDCS3_TEST_TABLES=10000 makes them so many (default: 150).
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Proc qw(spawn);
use CdcS3::Sidecar;
use CdcS3::Test;

my $tables = $ENV{CDCS3_TEST_TABLES} // 150;
my $limit = 32;
my $source = new_cluster('source',
	conf => [ 'max_locks_per_transaction = 4000', 'autovacuum = off', 'max_wal_size = 4GB' ])->start;
my $target = new_cluster('target',
	conf => [ 'max_locks_per_transaction = 4000', 'autovacuum = off', 'fsync = off' ])->start;

# As wide as a page of the server takes: some columns are NULL in all rows.
# Merge writes 1,590 columns at most (doc/merge.md).
my @kinds = ('integer', 'text', 'bigint', 'timestamptz');
my %columns = (wide => 1590, widest => 1600);
for my $table (sort keys %columns)
{
	my $list = join ', ', map { "c$_ $kinds[ $_ % 4 ]" } 2 .. $columns{$table};
	$source->psql('postgres', "create table $table (c1 integer primary key, $list)");
}
my $values = join ', ', map {
	    $_ % 4 == 0  ? "i % $_"
	  : $_ % 4 == 1  ? "'t' || i % $_"
	  : $_ % 16 == 2 ? "i::bigint * $_"
	  : $_ % 16 == 3 ? "timestamptz '2026-11-01' + i * interval '$_ s'"
	  : 'null'
} 2 .. 1590;
for (my $from = 1; $from <= $tables; $from += 500)
{
	my $to = $from + 499 < $tables ? $from + 499 : $tables;
	$source->psql('postgres', join '',
		map { "create table many_$_ (id integer primary key, a text, b numeric, c timestamptz);\n" } $from .. $to);
}
$source->psql('postgres', <<"SQL");
create procedure change() language plpgsql as \$\$
begin
	for r in 1 .. 3 loop
		for i in 1 .. $tables loop
			execute format('insert into many_%s select i, repeat(''x'', 100), i / 7.0, now() '
				|| 'from generate_series(%s, %s) i', i, r * 5, r * 5 + 4);
			if i % 50 = 0 then commit; end if;
		end loop;
	end loop;
end \$\$;
SQL

my $cdc = sidecar($source, 'postgres', file_store(),
	target => $target,
	target_db => 'postgres',
	flags => [ "--memory.limit=${limit}MB", '--flush.interval=2s', '--load.mode=never',
		'--output.format=parquet', '--output.compression=snappy' ]);
$cdc->ok('init');
my $run = $cdc->start;
for my $from (map { $_ * 500 + 1 } 0 .. 3)
{
	$source->psql('postgres', "insert into $_ select i, $values from generate_series($from, $from + 499) i")
	  for sort keys %columns;
}
$source->psql('postgres', 'call change()');
ok($cdc->wait_durable(900), 'all is durable') or diag $run->errors;
memory_below($run, 96);
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my ($peak) = $run->errors =~ /event=stopped .*buffers_peak=(\d+)/;
cmp_ok($peak, '<=', $limit << 20, "buffers stay within the limit ($peak)");
my ($groups, $small) = $run->errors =~ /event=stopped .*row_groups=(\d+) row_groups_small=(\d+)/;
my @objects = map { $_->{key} } map { $cdc->entry_objects($_) } $cdc->entries;
cmp_ok($groups, '>=', scalar @objects, "row groups are counted ($groups)");
cmp_ok($small, '<=', $groups, "and so are small ones ($small)");

# Of the wide table alone no group is small but the last of an object.
is($groups - $small >= 1, 1, 'wide rows make row groups of more than 1 MB');
diag("$tables tables: buffers_peak $peak, $groups row groups, $small below 1 MB");

# ---- merge ----

my $folder = temp_folder();
my $merge = spawn(
	cmd => [ CdcS3::Sidecar::program(), 'merge', $cdc->flags, '--merge.until=now', '--merge.exclude=public.widest' ],
	out_path => "$folder/merge.out",
	err_path => "$folder/merge.err");
my $most = 0;
ok(poll(sub {
	my $status = -e '/proc/' . $merge->pid . '/status' ? slurp('/proc/' . $merge->pid . '/status') : '';
	$most = $1 if $status =~ /^VmHWM:\s+(\d+) kB/m;
	return !$merge->alive;
}, 1800), 'merge ends');
is($merge->wait, 0, 'with 0') or diag $merge->errors;
SKIP:
{
	skip 'a sanitizer takes memory of its own', 1 if CdcS3::Sidecar::sanitized();
	cmp_ok($most, '<=', 128 * 1024, "peak memory of merge: $most kB");
}
diag("merge: peak memory $most kB");
tables_equal($source, 'postgres', $target, 'postgres', 'wide', map { "many_$_" } 1, int($tables / 2), $tables);
is($target->psql('postgres', "select count(*) from pg_class where relname like 'many\\_%' and relkind = 'r'"),
	$tables, 'all tables are there');

done_testing();
