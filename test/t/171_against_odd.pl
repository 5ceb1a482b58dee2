#-------------------------------------------------------------------------
# verify --against: what cannot be compared is named and never counts as equal;
# a table that is larger than memory.limit is compared in passes; a stop ends
# it wherever it waits; and every format tells the same rows.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Proc qw(capture poll spawn);
use CdcS3::Test;

my $json = JSON::PP->new->utf8;
my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$_->psql('postgres', 'create database work') for $source, $target;

my $columns = join ', ', map { "c$_ integer" } 1 .. 12;
my $values = join ', ', map { "i + $_" } 1 .. 12;
$source->psql('work', <<"SQL");
create table wide (id integer primary key, $columns);
insert into wide select i, $values from generate_series(1, 60000) i;
create table mapped (id integer primary key, v text);
insert into mapped select i, 'v' from generate_series(1, 10) i;
create table excluded (id integer primary key);
insert into excluded values (1);
create table nokey (id integer);
insert into nokey values (1), (2);
create table only_inserts (id integer);
insert into only_inserts values (1), (1), (2);
create table parted (id integer primary key) partition by range (id);
create table parted_1 partition of parted for values from (0) to (100);
create table parted_2 partition of parted for values from (100) to (200);
insert into parted select i from generate_series(1, 199) i;
create table emptied (id integer primary key, v text);
insert into emptied values (1, 'a');
create table full_key (id integer primary key, v text);
alter table full_key replica identity full;
insert into full_key select i, repeat(md5(i::text), 200) from generate_series(1, 20) i;
alter table full_key alter v set storage external;
create table toasted (id integer primary key, n integer, v text);
alter table toasted alter v set storage external;
insert into toasted select i, i, repeat(md5(i::text), 200) from generate_series(1, 20) i;
create table rekeyed (a integer primary key, b integer not null);
insert into rekeyed values (1, 1), (2, 2);
SQL

sub lake
{
	my ($slot, @flags) = @_;
	my $cdc = sidecar($source, 'work', file_store(), target => $target, slot => $slot,
		flags => [ '--flush.interval=1s', '--merge.map=public.mapped=copy.other',
			'--merge.exclude=public.excluded', @flags ]);
	$cdc->ok('init');
	my $run = $cdc->start;
	ok($cdc->wait_loaded, "$slot: tables are loaded") or diag $run->errors;
	return $cdc;
}
my $cdc = lake('json');
my @others = (lake('parquet', '--output.format=parquet'), lake('csv', '--output.format=csv', '--output.numeric=string'));
$target->psql('work', 'create schema copy');

sub against
{
	my ($of, @args) = @_;
	my $r = $of->call('verify', '--json', @args);
	my @lines = map { $json->decode($_) } grep { /^\{/ } split /\n/, $r->{out};
	$r->{sum} = pop @lines if @lines && $lines[-1]{compared};
	$r->{of} = { map { ($_->{table} => $_) } @lines };
	return $r;
}

$source->psql('work', <<'SQL');
truncate emptied;
insert into emptied values (2, 'b');
update full_key set id = id + 100 where id <= 5;
update toasted set n = 0 where id <= 10;
update toasted set id = id + 100 where id between 8 and 12;
update full_key set v = null where id = 6;
SQL
ok($_->wait_durable, "$_->{slot}: changes are durable") for $cdc, @others;
$cdc->ok('merge', '--merge.until=now');
my $r = against($cdc, '--against=target');
is($r->{code}, 0, 'all is equal: exit code') or diag $r->{out}, $r->{err};
is($r->{of}{mapped}{server_table}, 'other', 'a table that goes elsewhere');
is($r->{of}{only_inserts}{rows}, 3, 'equal rows are counted');
like($r->{of}{excluded}{why}, qr/merge\.exclude/, 'what is left out by merge.exclude is told');
is($r->{of}{excluded}{verdict}, 'not compared', 'and is not called equal');

# Nothing happens at the source, so the log does not go on.
$r = against($cdc, '--against=source', '--wait=120');
is($r->{code}, 0, 'an idle source: exit code') or diag $r->{out}, $r->{err};
is($r->{of}{wide}{verdict}, 'equal', 'an idle source: compared');

# More rows than memory.limit holds.
my @limit = ('--against=target', '--table=public.wide', '--memory.limit=8MB');
$r = against($cdc, @limit);
is($r->{code}, 0, 'a large table: exit code') or diag $r->{out}, $r->{err};
cmp_ok($r->{of}{wide}{passes}, '>', 2, 'a large table: in passes');
is($r->{of}{wide}{rows}, 60000, 'a large table: each row once');
my $hash = $r->{of}{wide}{hash};
$r = against($cdc, '--against=target', '--table=public.wide', '--memory.limit=1GB');
is($r->{of}{wide}{passes}, 1, 'with more memory: in one pass');
is($r->{of}{wide}{hash}, $hash, 'with more memory: the same hash');
$target->psql('work', 'delete from wide where id in (1, 30000, 60000); update wide set c7 = 0 where id in (2, 40000); insert into wide (id) values (0)');
$r = against($cdc, @limit);
is($r->{code}, 3, 'a large table that differs: exit code');
is_deeply([ @{ $r->{of}{wide} }{qw(missing extra changed)} ], [ 3, 1, 2 ], 'a large table that differs: counted');
is_deeply([ sort map { $_->{key} } @{ $r->{of}{wide}{keys} } ], [ sort map { "id=$_" } 0, 1, 2, 30000, 40000, 60000 ],
	'a large table that differs: named');

# A lock that somebody has, and TERM.
my $lock = spawn(
	cmd => [ CdcS3::Cluster::program('psql'), '-X', '-q', '-d', $target->conninfo('work'), '-c',
		'begin; lock table emptied; select pg_sleep(600)' ],
	log => temp_folder() . '/lock');
my $waits = q(select count(*) %s 0 from pg_locks where relation = 'emptied'::regclass and mode = '%s');
ok($target->poll_until('work', sprintf $waits, '>', 'AccessExclusiveLock'), 'somebody has a lock');
my $folder = temp_folder();
my $waiter = spawn(cmd => [ CdcS3::Sidecar::program(), 'verify', '--against=target', $cdc->flags ],
	out_path => "$folder/out", err_path => "$folder/err", env => $cdc->env);
ok($target->poll_until('work', sprintf $waits, '>', 'AccessShareLock'), 'verify waits for it');
is($waiter->stop('TERM', 60), 75, 'TERM ends it') or diag $waiter->errors;
like($waiter->errors, qr/stopped before all was compared/, 'and it says so');
ok($target->poll_until('work', sprintf $waits, '=', 'AccessShareLock'), 'no lock stays');
$lock->stop('KILL');

# Others write, and each format tells the same.
my $script = temp_folder() . '/write.sql';
open my $f, '>', $script or die $!;
print {$f} "insert into emptied values (random() * 1000000, 'w') on conflict do nothing;\n\\sleep 20 ms\n";
close $f or die $!;
my $writers = $source->spawn_pgbench('work', '-f', $script, '-T', 600);
for my $of (@others)
{
	$r = against($of, '--against=source');
	is($r->{code}, 0, "$of->{slot}: exit code") or diag $r->{out}, $r->{err};
	is_deeply([ grep { $_->{verdict} ne 'equal' } values %{ $r->{of} } ], [], "$of->{slot}: all are equal");
}

# What nobody can know.
$source->psql('work', 'update nokey set id = 3 where id = 2; truncate parted_1;'
  . 'alter table rekeyed drop constraint rekeyed_pkey, add primary key (b); insert into rekeyed values (3, 3)');
ok($cdc->wait_durable, 'changes are durable');
$r = against($cdc, '--against=source');
is($r->{code}, 8, 'what cannot be compared: exit code') or diag $r->{out}, $r->{err};
for my $case ([ nokey => qr/no replica identity/ ], [ parted => qr/partitions were truncated/ ], [ rekeyed => qr/key was changed/ ])
{
	is($r->{of}{ $case->[0] }{verdict}, 'not compared', "$case->[0]: not compared");
	like($r->{of}{ $case->[0] }{why}, $case->[1], "$case->[0]: the reason");
}
is($r->{of}{full_key}{verdict}, 'equal', 'the others are');

# No table is what the target lacks while its changes wait there.
$target->psql('work', q(insert into cdc_s3.resync (system_identifier, database, slot, source_schema, source_table, lsn, seq, reason)
	select system_identifier, database, slot, 'public', 'full_key', '0/1', 1, 'new' from cdc_s3.position));
$r = against($cdc, '--against=target', '--table=public.full_key');
is($r->{code}, 8, 'a table that is to be loaded anew: exit code');
like($r->{of}{full_key}{why}, qr/cdc_s3\.resync/, 'a table that is to be loaded anew: told');
$writers->stop('TERM', 30);
is($_->{run}->stop('TERM', 60), 0, "$_->{slot}: run stops") for $cdc, @others;
done_testing();
