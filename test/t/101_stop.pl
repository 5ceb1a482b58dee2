#-------------------------------------------------------------------------
# TERM ends run and merge in any state within shutdown.timeout: where nobody
# answers, where the store does not, and where a statement waits.  The exit
# code is 0 only where a session was and its last entry is in.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);

use CdcS3::FakeS3;
use CdcS3::Middlebox;
use CdcS3::Test;

my $source = new_cluster('source', conf => ['wal_sender_timeout = 10s'])->start;
my $box = CdcS3::Middlebox->start(to => "$source->{socket}/.s.PGSQL.$source->{port}");
my $through = 'host=127.0.0.1 user=postgres dbname=postgres sslmode=disable '
  . 'gssencmode=disable port=' . $box->port;
my @quick = ('--load.mode=never', '--flush.interval=1s', '--shutdown.timeout=5s');

sub sql { return $source->psql('postgres', $_[0]) }

# 5 s are the setting; the rest is for a machine that is busy.
sub stops
{
	my ($run, $code, $what) = @_;
	my $began = time;
	is($run->stop('TERM', 60), $code, "$what: exit $code") or diag $run->errors;
	cmp_ok(time - $began, '<', 20, "$what: in time");
	return;
}

sql('create table t (id int primary key)');

subtest 'before a session ever was' => sub {
	my $cdc = sidecar($source, 'postgres', file_store(), source_conninfo => $through);
	$cdc->ok('init');
	$box->mute;
	my $run = $cdc->start(@quick, '--log.level=debug');
	ok(!defined $run->wait(2), 'it waits for a server that says nothing');
	stops($run, 75, 'the source does not answer');
	like($run->errors, qr/stopped before anything was streamed/, 'and it says so');
	$box->mute;
	sql("select pg_drop_replication_slot('cdc_s3')");
};

subtest 'between two sessions' => sub {
	my $cdc = sidecar($source, 'postgres', file_store(), source_conninfo => $through);
	$cdc->ok('init');
	my $run = $cdc->start(@quick, '--source.silence_limit=2s');
	sql('insert into t values (1)');
	ok($cdc->wait_durable(60), 'a row goes through') or diag $run->errors;
	$box->mute;
	$box->forget;
	ok(poll(sub { $run->errors =~ /session lost/ }, 60), 'the session is lost');
	stops($run, 0, 'all was written');
	$box->mute;
	ok(poll(sub { sql("select pg_drop_replication_slot('cdc_s3')
		from pg_replication_slots where not active"); 1 }, 60), 'cleaned up');
};

subtest 'a store that says nothing' => sub {
	my $s3 = CdcS3::FakeS3->start;
	my $cdc = sidecar($source, 'postgres', $s3->store, slot => 'dead_store');
	$cdc->ok('init');
	my $run = $cdc->start(@quick);
	sql('insert into t values (2)');
	ok($cdc->wait_durable(60), 'a row goes through') or diag $run->errors;
	$s3->fault(match => 'PUT ', times => 0, stall => 1);
	sql('insert into t values (3)');
	$run->signal('USR1');
	stops($run, 75, 'the last entry is not in');
	$s3->clear;
	$run = $cdc->start(@quick);
	ok($cdc->wait_durable(60), 'the next run brings it') or diag $run->errors;
	stops($run, 0, 'now it is');
	$s3->fault(match => 'GET ', times => 0, stall => 1);
	$run = $cdc->start(@quick);
	ok(!defined $run->wait(2), 'it waits for the log');
	stops($run, 75, 'the log cannot be read');
};

subtest 'the last entry is lost to another writer' => sub {
	my $cdc = sidecar($source, 'postgres', file_store(), slot => 'lost');
	$cdc->ok('init');
	my $run = $cdc->start('--load.mode=never', '--flush.interval=1h');
	sql('insert into t values (4)');
	ok($cdc->wait_durable(60), 'a row goes through') or diag $run->errors;
	my @log = sort glob "$cdc->{store}{folder}/_cdc/log/*.json";
	my ($last) = $log[-1] =~ /(\d+)\.json$/;
	my $next = sprintf "$cdc->{store}{folder}/_cdc/log/%020d.json", $last + 1;
	open my $in, '<', $log[-1] or die;
	open my $out, '>', $next or die;
	print {$out} do { local $/ = undef; scalar <$in> };
	close $out;
	sql('insert into t values (5)');
	my $at = sql('select pg_current_wal_lsn()');
	ok(poll(sub { sql("select write_lsn >= '$at' from pg_stat_replication r
		join pg_replication_slots s on s.active_pid = r.pid where slot_name = 'lost'") =~ /^t/
			|| $run->errors =~ /another writer was first/ }, 60),
		'a row for the last entry is there') or diag $run->errors;
	stops($run, 75, 'another writer was first');
};

subtest 'a slot that is taken' => sub {
	my $cdc = sidecar($source, 'postgres', file_store(), slot => 'taken');
	$cdc->ok('init');
	my $run = $cdc->start(@quick);
	sql('insert into t values (6)');
	ok($cdc->wait_durable(60), 'a row goes through') or diag $run->errors;
	my $pid = sql("select active_pid from pg_replication_slots where slot_name = 'taken'");
	my $r = $cdc->call('run', @quick, '--source.slot_wait=2s');
	is($r->{code}, 75, 'a second run ends');
	like($r->{err}, qr/pid $pid of the source server holds it: \\?"cdc-s3/, 'and names who has it');
	$r = $cdc->call('run', @quick, '--source.slot_wait=0');
	is($r->{code}, 75, 'at once, where it is not to wait');
	ok($run->alive, 'the first one goes on');
	stops($run, 0, 'the first');
};

subtest 'a statement of merge that waits' => sub {
	my $cdc = sidecar($source, 'postgres', file_store(), slot => 'for_merge');
	$cdc->ok('init');
	my $run = $cdc->start(@quick);
	sql('insert into t values (7)');
	ok($cdc->wait_durable(60), 'a row goes through') or diag $run->errors;
	stops($run, 0, 'run');
	$source->psql('postgres', 'create database target');
	$cdc->{target} = $source;
	$cdc->{target_db} = 'target';
	my $target = $through =~ s/dbname=postgres/dbname=target/r;

	# It holds what merge takes first; so merge waits for it, and then for
	# a server that cannot be reached even for the cancel.
	my $lock = CdcS3::Proc::spawn(
		cmd => [
			CdcS3::Cluster::program('psql'), '-Xc',
			'begin; lock table pg_catalog.pg_class in access exclusive mode; select pg_sleep(600)',
			$source->conninfo('target') ],
		log => "$cdc->{folder}/lock");
	my $holds = "select count(*) from pg_locks where granted and relation = 1259
		and mode = 'AccessExclusiveLock'";
	ok(poll(sub { sql($holds) > 0 }, 60), 'a table of the target is locked');
	my $merge = CdcS3::Proc::spawn(
		cmd => [ CdcS3::Sidecar::program(), 'merge', '--until=now', $cdc->flags,
			"--target.conninfo=$target" ],
		log => "$cdc->{folder}/merge");
	ok(!defined $merge->wait(2), 'merge waits');
	my $began = time;
	$merge->stop('TERM', 60);
	cmp_ok(time - $began, '<', 20, 'and ends at TERM');
	$lock->stop('KILL', 30);
};
done_testing();
