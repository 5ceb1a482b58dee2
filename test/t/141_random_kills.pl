#-------------------------------------------------------------------------
# Random kills: run, merge and the source (immediate shutdown) die at random
# moments while four writers write.  In the end each change is in the lake once,
# the target is the source, and the slot was at no moment confirmed beyond the
# log.
#
# CRASH_KILLS says how many (make crash KILLS=500), CRASH_SEED repeats a run's
# choices and moments.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);

use CdcS3::Crash qw(make_tables start_writers stop_writers work_tables lake_is_true leftovers_go
  is_a_cut slot_watch slot_was_behind);
use CdcS3::Test;

my $kills = $ENV{CRASH_KILLS} // 20;
my $seed = $ENV{CRASH_SEED} // int rand 1_000_000;
srand $seed;
note "CRASH_SEED=$seed CRASH_KILLS=$kills";

my $source = new_cluster('source',
	conf => [ 'wal_sender_timeout = 30s', 'deadlock_timeout = 100ms', 'max_wal_size = 2GB' ])->start;
my $target = new_cluster('target')->start;
$_->psql('postgres', 'create database work') for $source, $target;
make_tables($source, 'work');
my $cdc = sidecar(
	$source, 'work', file_store(),
	target => $target,
	flags => [ '--flush.interval=1s', '--memory.limit=16MB', '--shutdown.timeout=60s' ]);
$cdc->ok('init');
my $watch = slot_watch($source, 'work', $cdc);
my ($writers, $run, $merge);

# Whoever is not there is started; one that ended by itself had a reason that may
# pass: the source was away, or its slot still taken.
sub all_run
{
	$writers = start_writers($source, 'work') unless $writers && $writers->alive;
	if (!$run || !$run->alive)
	{
		ended_well('run', $run, 4, 75);
		$run = $cdc->start;
	}
	if (!$merge || !$merge->alive)
	{
		ended_well('merge', $merge, 0, 75);
		$merge = spawn(
			cmd => [ CdcS3::Sidecar::program(), 'merge', $cdc->flags, '--merge.until=now' ],
			log => "$cdc->{folder}/merge.log",
			env => $cdc->env);
	}
	return;
}

my @strange;

sub ended_well
{
	my ($what, $p, @codes) = @_;
	return if !$p || !defined $p->{code};
	push @strange, "$what ended with $p->{code}\n" . substr $p->errors, -1000
	  unless grep { $_ == $p->{code} } @codes, -9;
	return;
}

my %killed = (run => 0, merge => 0, source => 0);
my $cuts = 0;
while ($killed{run} + $killed{merge} + $killed{source} < $kills)
{
	all_run();
	sleep rand 1.2;
	my $r = rand;
	my $victim = $r < 0.2 ? 'source' : $r < 0.4 ? 'merge' : 'run';
	if ($victim eq 'source')
	{
		$source->stop('immediate', 120) or BAIL_OUT('the source does not stop');
		$source->start;
	}
	else
	{
		my $p = $victim eq 'run' ? $run : $merge;
		next unless $p->alive;
		$p->stop('KILL', 60);
		if ($victim eq 'merge' && !is_a_cut($target, 'work'))
		{
			push @strange, 'the target is no moment of the source';
		}
		$cuts++ if $victim eq 'merge';
	}
	$killed{$victim}++;
}
note join ', ', (map { "$_ $killed{$_}" } sort keys %killed), "cuts looked at $cuts";
is_deeply(\@strange, [], 'whatever ended by itself had a reason');

ok($source->poll_until('work', 'select true', 120), 'the source is there');
all_run();
stop_writers($writers);
ok(poll(sub { $run = $cdc->start if !$run->alive; $cdc->wait_durable(30) }, 300), 'all is durable')
  or diag $run->errors;
ok($cdc->wait_loaded(120), 'and loaded') or diag $run->errors;
$source->psql('work', 'call work(1, 1)');
leftovers_go($cdc);
is($run->stop('TERM', 120), 0, 'run ends with 0') or diag $run->errors;
slot_was_behind($watch);
$merge->wait(300);
my $r = $cdc->call('merge', '--merge.until=now');
is($r->{code}, 0, 'merge ends with 0') or diag $r->{err};
tables_equal($source, 'work', $target, 'work', work_tables());
lake_is_true($source, 'work', $cdc, 10 * $kills);

done_testing();
