#-------------------------------------------------------------------------
# One table alone uses all workers: several of its objects grow at once, each
# in order within itself.  Replay puts their rows in one order, and merge
# applies them in that, by every way; small objects (output.max_rows) are cut
# in the middle of a transaction.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $explains = -e CdcS3::Cluster::pg_config('pkglibdir') . '/auto_explain.so';
my $target = new_cluster('target',
	conf => $explains
	? [ q(session_preload_libraries = 'auto_explain'), 'auto_explain.log_min_duration = 0' ]
	: [])->start;
$source->psql('postgres', <<'SQL');
create table hot (id integer primary key, n integer, t text);
insert into hot select i, 0, '' from generate_series(1, 1000) i;
SQL
$target->psql('postgres', 'create table hot (id integer primary key, n integer, t text)');
my $cdc = sidecar($source, 'postgres', file_store(),
	flags => [ '--memory.limit=64MB', '--flush.interval=1h', '--flush.bytes=1GB',
		'--output.workers=4', '--load.mode=never', '--output.max_rows=10000' ]);
$cdc->ok('init');
$source->psql('postgres', <<"SQL") for 1 .. 3;
insert into hot select i, 0, repeat(md5(i::text), 4)
	from generate_series(1 + (select max(id) from hot), 60000 + (select max(id) from hot)) i;
update hot set n = n + 1 where id <= 20000;
update hot set id = -id where id > 0 and id <= 500;
update hot set id = -id where id < 0;
delete from hot where id > 1000 and id % 7 = 0;
SQL
my $run = $cdc->start;
ok($cdc->wait_durable(120), 'all is durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

# What the log says of the objects.
my @objects = grep { !$_->{load} } map { $cdc->entry_objects($_) } $cdc->entries;
my $key = sub { my ($lsn, $seq) = @_; return sprintf '%s %012d', join('', map { sprintf '%08X', hex } split m{/}, $lsn), $seq };
my ($overlap, $last, $cut) = (0, '', 0);
for my $o (@objects)
{
	my $first = $key->($o->{first_lsn}, $o->{first_seq});
	$overlap++ if $first lt $last;
	my $end = $key->($o->{last_lsn}, $o->{last_seq});
	$last = $end if $end gt $last;
	$cut++ if $o->{rows} == 10000;
}
note scalar(@objects) . " objects, $overlap overlap, $cut are full";
cmp_ok($cut, '>=', 2, 'objects are cut by output.max_rows');
is(scalar(grep { $_->{rows} > 10000 } @objects), 0, 'and none has more');
cmp_ok($overlap, '>=', 1, 'objects of one table grew at the same time');

# Replay: each row once, in order.
my ($n, $before, $wrong) = (0, '', 0);
for (split /\n/, $cdc->replay)
{
	my ($lsn, $seq) = /"_lsn":"(\w+)","_seq":(\d+)/ or next;
	my $here = sprintf '%s %015d', $lsn, $seq;
	$wrong++ if $here le $before;
	$before = $here;
	$n++;
}
my $rows = 0;
$rows += $_->{rows} for map { $cdc->entry_objects($_) } $cdc->entries;
is($n, $rows, 'replay has each row');
is($wrong, 0, 'in order');

$cdc->{target} = $target;
$cdc->{target_db} = 'postgres';
my $sum = 'select count(*), md5(string_agg(h::text, chr(10) order by id)) from hot h';
for my $way (qw(auto exact))
{
	$target->psql('postgres', 'drop schema if exists cdc_s3 cascade; truncate hot');
	my $merge = $cdc->call('merge', '--merge.until=now', "--merge.way=$way");
	is($merge->{code}, 0, "$way: merge") or diag $merge->{err};
	is($target->psql('postgres', $sum), $source->psql('postgres', $sum), "$way: target equals source");
}

# A load of a table that has rows, change by change: what the load ended goes
# by a hash join, though all other plans of this way are of single keys.
my $again = sidecar($source, 'postgres', file_store(), flags => ['--source.slot=again']);
$again->ok('init');
$run = $again->start;
ok($again->wait_loaded, 'loaded') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0');
$target->psql('postgres', 'drop schema cdc_s3 cascade; update hot set n = -1; insert into hot values (-7)');
@$again{qw(target target_db)} = ($target, 'postgres');
my $load = $again->call('merge', '--merge.until=now', '--merge.way=exact', '--merge.tables=public.hot', '--merge.on_existing=replace');
is($load->{code}, 0, 'exact, a load over rows: merge') or diag $load->{err};
is($target->psql('postgres', $sum), $source->psql('postgres', $sum), 'target equals source');
SKIP:
{
	skip 'no auto_explain beside this server', 1 if !$explains;
	my @plans = split /(?=Query Text: )/, $target->log_text;
	like((grep { /^Query Text: DELETE FROM "public"."hot" t WHERE true AND NOT EXISTS/ } @plans)[-1] // '',
		qr/Hash/, 'rows that the load ended are found by a hash join');
}
done_testing;
