#-------------------------------------------------------------------------
# Failover.  A standby that lags is promoted: changes that the lake has are not in it,
# so run ends with exit code 3 and both positions, whatever the new primary
# writes.  One whose slot was synchronized (17 and later) goes on: nothing is
# lost, nothing is there twice.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Test;

my @flags = ('--flush.interval=1s', '--load.mode=never');
my $lsn = qr{[0-9A-F]+/[0-9A-F]+};

sub insert_sql { return "insert into t select i, repeat('x', 100) from generate_series($_[0], $_[1]) i" }

sub promote
{
	my ($cluster) = @_;
	$cluster->psql('postgres', 'select pg_promote(true, 120)');
	return $cluster->poll_until('postgres', 'select not pg_is_in_recovery()', 120);
}

# Until the standby has all that the primary wrote.
sub caught_up
{
	my ($primary, $standby) = @_;
	my $at = $primary->psql('postgres', 'select pg_current_wal_lsn()');
	return $standby->poll_until('postgres', "select pg_last_wal_replay_lsn() >= '$at'", 120);
}

my $source = new_cluster('source')->start;
my ($major) = $source->psql('postgres', 'show server_version_num') =~ /^(\d\d)/;
$source->psql('postgres', 'create table t (id integer primary key, body text)');

subtest 'to a standby that lags' => sub {
	my $cdc = sidecar($source, 'postgres', file_store(), flags => \@flags);
	$cdc->ok('init');
	my $run = $cdc->start;
	my $standby = new_cluster('late', standby_of => $source)->start;
	$source->psql('postgres', insert_sql(1, 10));
	ok($cdc->wait_durable(120), 'rows go through') or diag $run->errors;
	ok(caught_up($source, $standby), 'the standby has them');
	$standby->stop('immediate', 60);
	$source->psql('postgres', insert_sql(11, 20_000));
	ok($cdc->wait_durable(120), 'so do others, which the standby does not get') or diag $run->errors;
	is($run->stop('TERM', 60), 0, 'run stops');
	$source->stop('immediate', 60);

	# on its own; connections to the dead primary fail
	$standby->start;
	ok(promote($standby), 'the standby is promoted');
	my $entry = $cdc->last_entry;
	my ($end) = map { sprintf '%X/%X', hex(substr $_, 0, 8), hex(substr $_, 8) } $entry->{end_lsn};
	$cdc->{source} = $standby;
	for my $what ('behind the log', 'ahead of the log')
	{
		my $r = $cdc->call('run');
		is($r->{code}, 3, "$what: exit code 3") or diag $r->{err};
		like($r->{err}, qr/\Q$end\E/, "$what: the log's end is named");
		like($r->{err}, qr/ends at $lsn, before the log's end|timeline \d+ .* $lsn/,
			"$what: and the server's position");
		is($cdc->last_entry->{entry}, $entry->{entry}, "$what: nothing is written");
		last if $what =~ /^ahead/;
		$standby->psql('postgres', insert_sql(11, 60_000));
		ok($standby->poll_until('postgres', "select pg_current_wal_flush_lsn() > '$end'", 60),
			'the new primary writes on') or last;
	}
	$standby->stop('immediate');
	$source->start;
	$source->psql('postgres', 'truncate t');
	$source->psql('postgres', "select pg_drop_replication_slot('cdc_s3')");
};

subtest 'to a slot that was synchronized' => sub {
	plan skip_all => 'up to PostgreSQL 16 slots are not synchronized' if $major < 17;
	$source->psql('postgres', "select pg_create_physical_replication_slot('standby');"
		  . " select pg_create_logical_replication_slot('cdc_s3', 'cdc_s3', false, false, true);"
		  . " alter system set synchronized_standby_slots = 'standby'");
	$source->reload;
	my $standby = new_cluster(
		'synced',
		standby_of => $source,
		conf => [
			'hot_standby_feedback = on', 'sync_replication_slots = on',
			"primary_slot_name = 'standby'",
			"primary_conninfo = '" . $source->conninfo('postgres') . "'" ])->start;
	my $cdc = sidecar($source, 'postgres', file_store(), flags => \@flags);
	$cdc->ok('init');
	my $run = $cdc->start;
	$source->psql('postgres', insert_sql(1, 2000));
	ok($cdc->wait_durable(120), 'rows go through') or diag $run->errors;
	$source->psql('postgres', 'insert into t values (100000)');
	ok($standby->poll_until('postgres', <<'SQL', 180), 'the slot is synchronized') or diag $standby->log_text;
select count(*) = 1 from pg_replication_slots where slot_name = 'cdc_s3' and synced and not temporary
SQL
	$source->psql('postgres', insert_sql(2001, 4000));
	ok(caught_up($source, $standby), 'the standby has all');
	$source->stop('immediate', 60);
	$run->stop('KILL', 60);
	ok(promote($standby), 'and is promoted');
	$standby->psql('postgres', 'alter system reset synchronized_standby_slots');
	$standby->reload;
	$cdc->{source} = $standby;
	$run = $cdc->start;
	$standby->psql('postgres', insert_sql(4001, 5000));
	ok($cdc->wait_durable(180), 'run goes on with it') or diag $run->errors;
	is($run->stop('TERM', 60), 0, 'and ends with 0') or diag $run->errors;
	my @ids = $cdc->replay =~ /"id":(\d+)/g;
	my %ids = map { $_ => 1 } @ids;
	is(scalar(@ids) . '/' . scalar(keys %ids), '5001/5001', 'each row is in the lake once');
	cmp_ok(($cdc->entries)[-1]{source}{timeline}, '>', 1, 'the log goes on on the new timeline');
	$standby->stop('immediate');
};
done_testing();
