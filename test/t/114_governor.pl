#-------------------------------------------------------------------------
# The governor: WAL that piles up behind the slot is told early, load is shed,
# and, only where that was asked for by name, the slot is dropped so that the
# source lives.  An idle database holds little while others write much.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Test;

my $source = new_cluster('source')->start;
$source->psql('postgres', "create database $_") for qw(others warns shuts holds idle);

# So many MB of WAL in a database of others.
sub wal
{
	my ($mb) = @_;
	$source->psql('others', "select count(pg_logical_emit_message(false, 'x', repeat(md5(g::text), 32768))) from generate_series(1, $mb) g");
	return;
}

sub slots { return $source->psql('postgres', "select count(*) from pg_replication_slots where slot_name = 'slot_$_[0]'") }

sub begin
{
	my ($db, $store, @flags) = @_;
	my $cdc = sidecar($source, $db, $store, slot => "slot_$db",
		flags => [ '--flush.interval=1s', '--shutdown.timeout=3s', @flags ]);
	$source->psql($db, 'create table t (id int primary key); insert into t values (1)');
	$cdc->ok('init');
	return $cdc;
}

# ---- S3 is dead: what is confirmed stands still ----

my $fake = CdcS3::FakeS3->start;
my $cdc = begin('shuts', $fake->store, '--governor.action=drop', '--governor.max_retained=160MB', '--governor.min_free=40MB');
my $run = $cdc->start;
# what a loaded table takes to be in the log is not to be seen in this store
ok(poll(sub { ($run->errors =~ /entry=2\b/) }, 120), 'it streams') or diag $run->errors;
like($run->errors, qr/has no limit for WAL.*max_retained/, 'that the disk is not visible is said');
$fake->fault(match => qr/^PUT /, status => 503, code => 'SlowDown', times => 0);
$source->psql('shuts', 'insert into t values (2)');
wal(100);
ok(poll(sub { $run->errors =~ /WAL piles up behind the slot.* left=\d+/ }, 120), 'it is told early') or diag $run->errors;
ok($run->alive && slots('shuts'), 'and nothing is done yet');
wal(20);
ok(poll(sub { $run->errors =~ /load is shed/ }, 120), 'load is shed') or diag $run->errors;
wal(30);
ok(poll(sub { !$run->alive }, 180), 'the run ends') or diag $run->errors;
is($run->stop('TERM', 30), 3, 'with exit code 3') or diag $run->errors;
like($run->errors, qr/^cdc-s3: slot "slot_shuts" was dropped.*begin a new lake/m, 'it says why, and the way back');
is(slots('shuts'), 0, 'the slot is gone');

# ---- a transaction that stays open holds WAL, while all is written ----

my $store = file_store();
$cdc = begin('holds', $store, '--governor.action=drop', '--governor.max_retained=100MB', '--governor.min_free=20MB');
$run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;
my $open = spawn(
	cmd => [ CdcS3::Cluster::program('psql'), '-X', '-d', $source->conninfo('holds'), '-c',
		'begin; insert into t values (99); select pg_sleep(600)' ],
	out_path => "$cdc->{folder}/open.out",
	err_path => "$cdc->{folder}/open.err");
ok(poll(sub { $source->psql('holds', q{select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and backend_xid is not null}) }, 60),
	'a transaction is open');
wal(100);
ok(poll(sub { !$run->alive }, 180), 'the run ends') or diag $run->errors;
is($run->stop('TERM', 30), 3, 'with exit code 3') or diag $run->errors;
is(slots('holds'), 0, 'the slot is gone');
ok($cdc->last_entry->{slot_dropped}, 'the last entry says so');
$source->psql('postgres', q{select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()});
$open->stop('TERM');
my $r = $cdc->call('run');
is($r->{code}, 3, 'a next run is a gap') or diag $r->{err};
is($cdc->call('verify')->{code}, 0, 'the lake is whole as far as it goes');

# ---- warn alone drops nothing ----

$cdc = begin('warns', file_store(), '--governor.max_retained=64MB', '--governor.min_free=32MB');
wal(100);
$run = $cdc->start;
ok(poll(sub { $run->errors =~ /WAL piles up/ }, 60), 'told') or diag $run->errors;
ok($cdc->wait_loaded && $cdc->wait_durable, 'and it goes on') or diag $run->errors;
is(slots('warns'), 1, 'the slot is there');
is($run->stop('TERM', 60), 0, 'it stops well') or diag $run->errors;
$source->psql('postgres', "select pg_drop_replication_slot('slot_warns')");

# ---- an idle database, while others write ----

$cdc = begin('idle', file_store());
$run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;
# A checkpoint says what runs now, as the server's writer does every 15 seconds.
wal(10), $source->psql('postgres', 'checkpoint') for 1 .. 20;
my $retained = sub {
	return $source->psql('postgres', q{select pg_current_wal_lsn() - restart_lsn from pg_replication_slots where slot_name = 'slot_idle'});
};
ok(poll(sub { $source->psql('postgres', 'checkpoint'); $retained->() < 80 << 20 }, 180),
	'less than 64 MB and a segment are held') or diag $retained->(), $run->errors;
is($run->stop('TERM', 60), 0, 'it stops well') or diag $run->errors;

done_testing();
