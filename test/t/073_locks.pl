#-------------------------------------------------------------------------
# The transaction that a walsender decodes in ends when its client has taken
# all of it, which may take hours.  No lock on a user's table is kept for so
# long, nor is one waited for: what a table is now does not matter to decoding.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Proc qw(capture spawn temp_folder slurp poll);
use CdcS3::Test;

my $pg = new_cluster('locks', conf => ['wal_sender_timeout = 0'])->start;

sub sql { return $pg->psql('postgres', $_[0]) }

sub receiver
{
	my ($file, @more) = @_;
	return (CdcS3::Cluster::program('pg_recvlogical'), '-d', $pg->conninfo('postgres'),
		'-S', 's', '--start', '--no-loop', '-f', $file, '-o', 'format=text',
		'--status-interval=1', '--fsync-interval=0', @more);
}

my $walsender = q{from pg_stat_activity a where backend_type = 'walsender'};

sql(<<'SQL');
create type pair as (a int, b text);
create type span as range (subtype = int);
create table root (id int, k int, v text, p pair, s span) partition by list (k);
create table leaf partition of root for values in (1);
create table mid partition of root for values in (2, 3) partition by range (id);
create table low partition of mid for values from (minvalue) to (10);
create table rest partition of mid default;
create table bulk (id int primary key, v text);
create publication p for table root, bulk with (publish_via_partition_root);
select pg_create_logical_replication_slot('s', 'cdc_s3');
begin;
insert into root values (1, 1, 'v', (1, 'x'), '[1,3)');
truncate leaf;
truncate low, rest;
insert into bulk select i, repeat('x', 1000) from generate_series(1, 60000) i;
commit;
SQL

# ---- a client that stalls in the midst of the transaction ----

my $file = temp_folder() . '/stalled';
system('mkfifo', $file) == 0 or die 'no mkfifo';
my $reader = spawn(
	cmd => [ receiver($file, '-o', 'publication_names=p') ],
	log => temp_folder() . '/reader.log');
open my $fifo, '<', $file or die "$file: $!\n";
ok( $pg->poll_until('postgres',
		"select count(*) > 0 $walsender and wait_event in ('WalSenderWriteData', 'ClientWrite')"),
	'the walsender waits for its client');
is( sql(
		"select coalesce(string_agg(l.relation::regclass::text, ' '), '') from pg_locks l "
		  . "join pg_stat_activity a using (pid) where a.backend_type = 'walsender' "
		  . 'and l.relation >= 16384'),
	'',
	'and holds no lock on a table');
my $r = $pg->try_psql('postgres', "set lock_timeout = '60s'; alter table root add column c int");
is($r->{code}, 0, 'the root can be altered') or diag $r->{err};
is(sql("select count(*) > 0 $walsender and wait_event in ('WalSenderWriteData', 'ClientWrite')"),
	't', 'while the walsender waits');
close $fifo;
$reader->stop('KILL');
sql("select pg_terminate_backend(pid) $walsender");
ok($pg->wait_for_free_slot('s'), 'the walsender is gone');

# ---- somebody else's lock ----

# A transaction that holds all that it can until it is told to end.
my $holder = spawn(
	cmd => [
		CdcS3::Cluster::program('psql'), '-X', '-d', $pg->conninfo('postgres'), '-c',
		'begin; lock root, leaf, low, rest, bulk in access exclusive mode; select pg_sleep(600)'
	],
	log => temp_folder() . '/holder.log');
ok($pg->poll_until('postgres', q{select count(*) > 0 from pg_locks
	where relation = 'root'::regclass and mode = 'AccessExclusiveLock' and granted}),
	'the tables are locked');
my $end = sql('select pg_current_wal_flush_lsn()');
$r = capture([ receiver('-', "--endpos=$end") ], timeout => 120);
is($r->{code}, 0, 'they are decoded as they were') or diag $r->{err};
is(scalar(() = $r->{out} =~ /^insert public\.bulk:/mg), 60000, 'with all rows');
my @truncates = $r->{out} =~ /^(truncate .*)$/mg;
is_deeply(
	\@truncates,
	[
		'truncate public.root where ((k IS NOT NULL) AND (k = 1))',
		'truncate public.root where ((k IS NOT NULL) AND (k = ANY (ARRAY[2, 3]))'
		  . ' AND (id IS NOT NULL) AND (id < 10)),'
		  . ' public.root where ((k IS NOT NULL) AND (k = ANY (ARRAY[2, 3]))'
		  . ' AND (NOT ((id IS NOT NULL) AND (id < 10))))'
	],
	'and what the truncated partitions held');
sql(q{select pg_terminate_backend(pid) from pg_stat_activity where query ~ 'pg_sleep'
	and pid <> pg_backend_pid()});
$holder->wait(60);

done_testing();
