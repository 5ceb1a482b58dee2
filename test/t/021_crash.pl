#-------------------------------------------------------------------------
# Four writers, and all the while the sidecar is killed (once at the first
# load) and its walsender terminated.  Nothing may be lost, nothing may be in
# the log twice, and the slot may never be ahead of the log.
#
# CDCS3_TEST_SEED repeats a run's moments.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);

use CdcS3::Test;

my $seed = $ENV{CDCS3_TEST_SEED} // int(rand(1_000_000));
srand($seed);
diag("seed $seed");
my $kills = 10;

my $source =
  new_cluster('source', conf => [ 'max_wal_size = 4GB', 'wal_sender_timeout = 10s' ])
  ->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', 'create database work');
$target->psql('postgres', 'create database work');
my @tables = qw(account ledger note);
$source->psql('work', <<'SQL');
create table account (id integer primary key, balance numeric not null, changed timestamptz, wide text);
create table ledger (id bigint generated always as identity primary key, account integer, amount numeric, at timestamptz default now());
create table note (id integer primary key, body text);
insert into account select i, 100, null, repeat(md5(i::text), 10) from generate_series(1, 150000) i;
SQL

# One transaction of each writer; keys overlap, so that order matters.
my $script = temp_folder() . '/writer.sql';
open my $f, '>', $script or die "$script: $!";
print {$f} <<'SQL';
\set a random(1, 150000)
\set n random(1, 300)
begin;
update account set balance = balance + 1, changed = clock_timestamp() where id = :a;
insert into ledger (account, amount) values (:a, 1.50);
insert into note values (:n, 'note ' || :a) on conflict (id) do update set body = excluded.body || :a;
delete from note where id = 300 - :n;
delete from ledger where id = (select id from ledger order by id desc limit 1 offset 50) and :n % 3 = 0;
savepoint s;
update account set balance = 0 where id = :a;
rollback to s;
commit;
SQL
close $f;

my $cdc = sidecar(
	$source, 'work', file_store(),
	target => $target,
	flags => [ '--flush.interval=1s', '--memory.limit=8MB' ]);
$cdc->ok('init');
my $writers =
  $source->spawn_pgbench('work', '-c', 4, '-j', 2, '-T', 600, '-R', 1200, '-f',
	$script);

# The slot is read first, the log after it: the log must be as far or ahead.
my $ahead = 0;

sub look
{
	my $confirmed = $source->psql('work',
			"select lpad(upper(to_hex(pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')"
		  . "::bigint)), 16, '0') from pg_replication_slots "
		  . "where slot_name = 'cdc_s3'");
	$ahead++ if $confirmed gt $cdc->last_entry->{end_lsn};
	return;
}

sub look_for
{
	my ($seconds) = @_;
	my $until = time + $seconds;
	do { look(); sleep 0.05; } while (time < $until);
	return;
}

# As soon as the first load shows; 038_first_start.pl has one that is not over
# then for sure.
my $run = $cdc->start;
ok(poll(sub { grep { m{/load-} } $cdc->objects }, 60), 'the first load has begun')
  or diag $run->errors;
is($run->stop('KILL'), -9, 'killed at the first load');

my ($survived, $restarted) = (0, 0);
for my $n (2 .. $kills)
{
	$run = $cdc->start;
	look_for(0.1 + rand(1.5));
	$restarted++ if $run->alive;
	is($run->stop('KILL'), -9, "kill -9, number $n") or diag $run->errors;
}

$run = $cdc->start;
for my $n (1 .. $kills)
{
	my $terminated = poll(
		sub {
			$source->psql('work',
					'select count(pg_terminate_backend(active_pid)) from '
				  . "pg_replication_slots where slot_name = 'cdc_s3' and active")
			  > 0;
		},
		60);
	ok($terminated, "walsender terminated, number $n") or diag $run->errors;
	look_for(0.1 + rand(1.0));
	if (!$run->alive)
	{
		diag("run had to be started again: exit $run->{code}\n" . $run->errors);
		$run = $cdc->start;
	}
	else { $survived++; }
}
is($restarted, $kills - 1, 'run always started');
is($survived, $kills, 'run survives the end of its walsender');

# A look while all is well, then the end.
ok(poll(sub { look(); $cdc->loaded }, 120), 'the first load ends')
  or diag $run->errors;
look_for(2);
is($ahead, 0, 'the slot was never ahead of the log');
$writers->stop('INT', 30);
ok($cdc->wait_durable(120), 'all is durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'work', $target, 'work', @tables);
cmp_ok($source->psql('work', 'select count(*) from ledger'),
	'>', 500, 'the writers wrote');

my (%seen, $twice, $changes);
$twice = $changes = 0;
for my $line (split /\n/, $cdc->replay)
{
	my ($table, $op, $lsn, $seq) = $line =~
	  /"_table":"(\w+)".*?"_op":"(\w)".*?"_lsn":"([0-9A-F]{16})".*?"_seq":(\d+)/
	  or die $line;
	$twice++ if $seen{"$lsn/$seq"}++;
	$changes++ if $op ne 'r';
}
is($twice, 0, 'no (LSN, seq) is in the log twice');
cmp_ok($changes, '>', 1000, 'the log has changes');

done_testing();
