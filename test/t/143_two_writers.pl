#-------------------------------------------------------------------------
# Two sidecars on one log: one is stopped (SIGSTOP) at a fault point, loses the slot,
# and another one goes on with the log; then it is continued.  One of them loses
# in the end, nothing is confirmed twice, and the log is one chain with each change
# once.
#
# A merge that is stopped while another one moves the target's position loses, too.
#
# By default at the points that matter most; CRASH_PAUSES=all at each point of run.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Crash qw(fault_points fault_program work_source start_writers stop_writers work_tables
  lake_is_true leftovers_go stops_at slot_watch slot_was_behind);
use CdcS3::Test;

# Not of run; of a first load or an hour's end, which come once in a lake; of what
# needs a kill, a long list or a stop before.
my %elsewhere = map { $_ => 1 } qw(init_slot_made hour_asked hour_closed load_announced
  load_snapshot load_copy_begun load_copied load_durable load_listed request_served
  sweep_delete_before sweep_delete_after list_put_after session_settled);
my @points = grep { !/^merge_/ && !$elsewhere{$_} } sort { $a cmp $b } do { my %p = fault_points(); keys %p };
my @few = qw(entry_put_before entry_put_after confirm_before);
@points = @few unless ($ENV{CRASH_PAUSES} // '') eq 'all';

my $source = work_source();
$source->psql('work', 'create table big (id bigint generated always as identity primary key, v text)');
my $store = file_store();

sub member
{
	return sidecar($source, 'work', $store, target => $source, target_db => 'target',
		flags => [ '--flush.interval=1s', '--memory.limit=16MB', '--shutdown.timeout=60s',
			'--source.slot_wait=5s' ]);
}

sub sql { return $source->psql('work', $_[0]) }

my ($one, $two) = (member(), member());
$one->ok('init');
my $run = $one->start;
ok($one->wait_loaded(120), 'the tables are loaded') or diag $run->errors;
is($run->stop('TERM', 120), 0, 'and a first run is over') or diag $run->errors;
my $watch = slot_watch($source, 'work', $one);
my $writers = start_writers($source, 'work', 100);

for my $point (@points)
{
	sql(<<'SQL') if $point =~ /^upload/;
insert into big (v) select md5(i::text) || md5((-i)::text) || md5((i * 7)::text)
	from generate_series(1, 20000) i
SQL
	my $held = stops_at($one, $point);
	$held->alive or next;

	# what wal_sender_timeout would do
	ok(poll(sub { sql('select count(pg_terminate_backend(active_pid)) from pg_replication_slots
		where active'); sql('select count(*) from pg_replication_slots where active') == 0 }, 60),
		"$point: it loses the slot");
	my $before = $one->last_entry->{entry};
	my $other = $two->start;
	ok(poll(sub { $two->{run}->signal('USR1') if length $other->errors;
		$one->last_entry->{entry} > $before + 1 || !$other->alive }, 120),
		"$point: another one goes on");

	# an entry of the one that is held may have been on its way
	if (!$other->alive)
	{
		is($other->{code}, 75, "$point: or it lost, and comes again") or diag $other->errors;
		$other = $two->start;
	}
	$held->signal('CONT');
	is($held->wait(120), 75, "$point: the one that was held ends with 75") or diag $held->errors;
	is($other->stop('TERM', 120), 0, "$point: the other one ends with 0") or diag $other->errors;
}

stop_writers($writers);
$run = $one->start;
$source->psql('work', 'call work(1, 1)');
ok($one->wait_durable(300), 'all is durable') or diag $run->errors;
leftovers_go($one);
is($run->stop('TERM', 120), 0, 'run ends with 0') or diag $run->errors;
slot_was_behind($watch);

# One chain: entries follow each other, each where the last one ended.
my @entries = $one->entries;
my @breaks = grep { $entries[$_]{prev_end_lsn} ne $entries[ $_ - 1 ]{end_lsn}
	  || $entries[$_]{entry} != $entries[ $_ - 1 ]{entry} + 1 } 1 .. $#entries;
is("@breaks", '', 'the log is one chain');
my %by = map { $_->{writer} => 1 } @entries;
cmp_ok(scalar keys %by, '>', @points, 'of many writers');

# A merge that is held in its transaction, and whose lock somebody took away: the
# position is compared when it is stored.
{
	$one->ok('merge', '--merge.until=now');
	my $before = $source->psql('target', 'select count(*) from truth');
	my $log = temp_folder() . '/reached';
	$run = $one->start;
	$source->psql('work', 'call work(1, 2)');
	ok($one->wait_durable(120), 'there is something to merge') or diag $run->errors;
	is($run->stop('TERM', 120), 0, 'run ends') or diag $run->errors;
	my $merge = spawn(
		cmd => [ fault_program(), 'merge', $one->flags, '--merge.until=now' ],
		env => { CDCS3_TEST_FAULT => 'merge_applied:1:stop', CDCS3_TEST_FAULT_LOG => $log },
		log => "$one->{folder}/held");
	ok(poll(sub { -s $log }, 120), 'merge is stopped before it stores the position')
	  or diag $merge->errors;
	my $lsn = $source->psql('target', 'select lsn from cdc_s3.position');
	$source->psql('target', "update cdc_s3.position set lsn = lsn + 8");
	$merge->signal('CONT');
	is($merge->wait(120), 75, 'it ends with 75') or diag $merge->errors;
	like($merge->errors, qr/the target's position changed during the merge/, 'and says why');
	is($source->psql('target', 'select count(*) from truth'), $before, 'nothing was done');
	$source->psql('target', "update cdc_s3.position set lsn = '$lsn'");
}
my $r = $one->call('merge', '--merge.until=now');
is($r->{code}, 0, 'merge ends with 0') or diag $r->{err};
tables_equal($source, 'work', $source, 'target', work_tables(), 'big');
lake_is_true($source, 'work', $one);

done_testing();
