#-------------------------------------------------------------------------
# A value of many megabytes through Parquet: written in parts within
# memory.limit, and merged as it was, in either kind of types.
#
# CDCS3_TEST_LONG_MB=900 makes it that long (default: 40).
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

my $mb = $ENV{CDCS3_TEST_LONG_MB} || 40;
my $wait = 60 + 2 * $mb;
my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', <<'SQL');
create table long (id integer primary key, t text, u uuid, n integer);
alter table long alter t set storage external;
SQL
my $cdc = sidecar($source, 'postgres', file_store(),
	target => $target,
	target_db => 'postgres',
	flags => [ '--output.format=parquet', '--output.compression=snappy',
		'--output.parquet_types=exact', '--memory.limit=32MB' ]);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'run is there') or diag $run->errors;

# Characters of all lengths; a thousand rows before and behind it.
my $times = $mb * 1024 * 1024 / 128;
$source->psql('postgres', <<"SQL");
begin;
insert into long select i, 'before', gen_random_uuid(), i from generate_series(1, 1000) i;
insert into long select 1001, repeat(E'line\\n \\u00e4\\u20ac\\U0001F600 ' || repeat('z', 112), $times),
	gen_random_uuid(), 1;
insert into long select i, 'behind', gen_random_uuid(), i from generate_series(1002, 2000) i;
commit;
SQL
cmp_ok($source->psql('postgres', 'select max(octet_length(t)) from long'), '>=', $mb << 20, "$mb MB");
ok($cdc->wait_durable($wait), 'the rows are durable') or diag $run->errors;
memory_below($run, 64);
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my ($peak) = $run->errors =~ /event=stopped .*buffers_peak=(\d+)/;
cmp_ok($peak, '<=', 32 << 20, "buffers stay within the limit ($peak)");

# The row is a group by itself, between those of the others; of these each is
# small, and nothing was short of memory.
my ($groups, $small) = $run->errors =~ /event=stopped .*row_groups=(\d+) row_groups_small=(\d+)/;
is($groups, 3, 'three row groups') or diag $run->errors;
is($small, 2, 'two of them small');

$cdc->ok('merge', '--merge.until=now');
my $sums = 'select count(*), sum(n), md5(string_agg(md5(t) || u, \'\' order by id)), max(length(t)) from long';
is($target->psql('postgres', $sums), $source->psql('postgres', $sums), 'target equals source');
is($cdc->call('verify')->{code}, 0, 'verify finds nothing wrong');

done_testing();
