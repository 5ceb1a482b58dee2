#-------------------------------------------------------------------------
# CdcS3::Crash
#	What the tests share that kill and stop processes: a sidecar with fault
#	points, writers who write down what they did, and the count of what is lost
#	or there twice.
#
#	Each transaction of the writers leaves a row in "truth" of the same
#	transaction: its xid, and how many changes it has.  So the lake can be
#	compared with it, change by change, whatever was killed when; and every
#	consistent cut of the source has one unit of "balance" a row of truth.
#-------------------------------------------------------------------------
package CdcS3::Crash;
use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use Test::More;

use CdcS3::Cluster;
use CdcS3::Proc qw(capture poll slurp spawn temp_folder);

our @EXPORT_OK = qw(fault_program fault_points work_source make_tables start_writers stop_writers
  work_tables lake_against_truth lake_is_true leftovers_go is_a_cut dies_at stops_at slot_watch
  slot_was_behind);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my $program;

# cdc-s3 with the fault points of base/fault.h; CDCS3_TEST_FAULT_BIN names another one.
sub fault_program
{
	$program //= $ENV{CDCS3_TEST_FAULT_BIN};
	return $program if $program;
	mkdir "$top/build";
	my $r = capture(
		[ 'flock', "$top/build/faults.lock", 'make', '-s', '-j2', '-C', "$top/uploader", 'faults' ],
		timeout => 1800);
	croak "make faults: $r->{out}$r->{err}" if $r->{code};
	return $program = "$top/build/faults/cdc-s3";
}

# The names of all points, as they stand in the sources.
sub fault_points
{
	my %points;
	for my $file (glob "$top/uploader/*/*.c")
	{
		$points{$_}++ for slurp($file) =~ /FAULT_POINT\("(\w+)"\)/g;
	}
	return %points;
}

# ---- writers ----

sub work_tables { return qw(account ledger note truth) }

# A server with the tables of make_tables in "work", and a database "target".
sub work_source
{
	my $source = CdcS3::Cluster->new('source',
		conf => [ 'wal_sender_timeout = 30s', 'deadlock_timeout = 100ms' ])->start;
	$source->psql('postgres', 'create database work');
	$source->psql('postgres', 'create database target');
	make_tables($source, 'work');
	return $source;
}

sub make_tables
{
	my ($cluster, $db, $accounts) = @_;
	$accounts //= 2000;
	$cluster->psql($db, <<"SQL");
create table account (id int primary key, balance bigint not null, wide text);
create table ledger (id bigint generated always as identity primary key, account int, amount numeric);
create table note (id int primary key, body text);
create table truth (xid bigint primary key, changes int not null);
insert into account select i, 0, repeat(md5(i::text), 10) from generate_series(1, $accounts) i;
create procedure work(a int, n int) language plpgsql as \$\$
declare
	all_of_it int := 4;
	hit int;
begin
	update account set balance = balance + 1 where id = a;
	insert into ledger (account, amount) values (a, 1.50);
	insert into note values (n, 'note ' || a)
		on conflict (id) do update set body = excluded.body || a;
	delete from note where id = 1000 + 300 - n;
	get diagnostics hit = row_count;
	all_of_it := all_of_it + hit;
	delete from ledger where n % 3 = 0
		and id = (select id from ledger order by id desc limit 1 offset 50);
	get diagnostics hit = row_count;
	all_of_it := all_of_it + hit;
	begin
		update account set balance = 0 where id = a;
		raise exception 'back';
	exception when raise_exception then null;
	end;
	insert into truth values (pg_current_xact_id()::text::bigint, all_of_it);
end \$\$;
SQL
	return;
}

# Four of them; on a server that goes away they end, and are started again.
sub start_writers
{
	my ($cluster, $db, $rate) = @_;
	my $script = temp_folder() . '/writer.sql';
	open my $f, '>', $script or croak "$script: $!";
	print {$f} "\\set a random(1, 2000)\n\\set n random(1, 1300)\ncall work(:a, :n);\n";
	close $f or croak "$script: $!";
	return $cluster->spawn_pgbench($db, '-c', 4, '-j', 2, '-T', 7200, '-R', $rate // 200,
		'--max-tries=100', '-f', $script);
}

sub stop_writers
{
	my ($writers) = @_;
	return $writers->stop('INT', 60);
}

# ---- what became of it ----

# { changes, transactions, lost, doubled, strange }, in changes.
sub lake_against_truth
{
	my ($source, $db, $cdc) = @_;
	my (%seen, %of, %r);
	my $names = join '|', work_tables();
	@r{qw(changes transactions lost doubled strange)} = (0) x 5;
	for my $line (split /\n/, $cdc->replay)
	{
		next unless $line =~ /"_table":"(?:$names)"/;
		my ($op) = $line =~ /"_op":"(\w)"/;
		next if $op eq 'r';
		my ($lsn, $seq, $xid) =
		  $line =~ /"_lsn":"([0-9A-F]{16})","_seq":(\d+),"_xid":(\d+)/
		  or croak "no record: $line";
		if ($seen{"$lsn/$seq"}++) { $r{doubled}++; next; }
		$of{$xid}++;
		$r{changes}++;
	}
	for my $row (split /\n/, $source->psql($db, 'select xid, changes from truth'))
	{
		my ($xid, $changes) = split /\|/, $row;
		my $there = delete $of{ $xid % 2**32 } // 0;
		$r{transactions}++;
		$r{lost} += $changes - $there if $there < $changes;
		$r{strange} += $there - $changes if $there > $changes;
	}
	$r{strange} += $_ for values %of;
	return \%r;
}

# The end of a test: nothing is written any more, and all of it is in the lake.
sub lake_is_true
{
	my ($source, $db, $cdc, $at_least) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = lake_against_truth($source, $db, $cdc);
	note "$r->{transactions} transactions with $r->{changes} changes";
	is("lost $r->{lost}, doubled $r->{doubled}, strange $r->{strange}",
		'lost 0, doubled 0, strange 0', 'each change is in the lake once');
	cmp_ok($r->{transactions}, '>=', $at_least // 100, 'the writers wrote');
	my $v = $cdc->on_lake('verify');
	is($v->{code}, 0, 'verify agrees') or diag $v->{out} . $v->{err};
	return $r;
}

# While run is alive: what others left is swept after the first entry of its session.
sub leftovers_go
{
	my ($cdc) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(poll(sub { $cdc->on_lake('verify', '--sizes')->{code} == 0 }, 180),
		'leftovers are swept')
	  || diag $cdc->on_lake('verify', '--sizes')->{out};
}

# True where a database is some moment of the source.
sub is_a_cut
{
	my ($cluster, $db) = @_;
	my $r = $cluster->try_psql($db, 'select (select coalesce(sum(balance), 0) from account)'
		  . ' = (select count(*) from truth)');
	return $r->{code} != 0 && $r->{err} =~ /does not exist/ || $r->{out} eq "t\n";
}

# ---- faults ----

# A background "run" that gets to the point; it is asked for a checkpoint
# again and again.  $then: signals other than USR1.
sub _get_to
{
	my ($cdc, $how, $is_there, %o) = @_;
	my $log = temp_folder() . '/reached';
	local $ENV{CDCS3_TEST_BIN} = fault_program();
	local $ENV{CDCS3_TEST_FAULT} = $how;
	local $ENV{CDCS3_TEST_FAULT_LOG} = $log;
	my $run = $cdc->start(@{ $o{args} // [] });
	my $tries = 0;
	poll(
		sub {
			return 1 if $is_there->($run, $log);
			# before it has logged the signal would end it
			$run->signal($o{signal} // 'USR1')
			  if length $run->errors && ++$tries % 4 == 0;
			return;
		},
		$o{seconds} // 120);
	return ($run, -e $log ? slurp($log) : '');
}

# run is killed at its n-th point of that name.
sub dies_at
{
	my ($cdc, $point, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $n = $o{n} // 1;
	my ($run, $reached) = _get_to($cdc, "$point:$n", sub { !$_[0]->alive }, %o);
	return ok($reached eq "$point\n" && defined $run->{code} && $run->{code} == -9,
		"run is killed at $point")
	  || diag "reached: $reached, exit $run->{code}\n" . $run->errors;
}

# The same with SIGSTOP; returns the process.
sub stops_at
{
	my ($cdc, $point, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $n = $o{n} // 1;
	my ($run, $reached) =
	  _get_to($cdc, "$point:$n:stop", sub { -s $_[1] || !$_[0]->alive }, %o);
	ok($reached eq "$point\n" && $run->alive, "run is stopped at $point")
	  || diag "reached: $reached\n" . $run->errors;
	return $run;
}

# ---- the slot, all the time ----

# A process that looks every 10 ms how far the slot is confirmed, and whether the
# log ends there or behind it.
sub slot_watch
{
	my ($cluster, $db, $cdc) = @_;
	return spawn(
		cmd => [
			$^X, "$top/test/tools/slot_watch.pl", CdcS3::Cluster::program('psql'),
			$cluster->conninfo($db), $cdc->{slot}, "$cdc->{store}{folder}/_cdc/log" ],
		log => temp_folder() . '/watch');
}

# Ends it: a test that the slot was looked at, and never ahead of the log.
sub slot_was_behind
{
	my ($watch) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($watch->stop('TERM', 60), 0, 'the watch over the slot ends');
	my ($looks, $ahead) = $watch->output =~ /^(\d+) looks, (\d+) ahead$/m;
	note $watch->output;
	cmp_ok($looks // 0, '>', 100, 'the slot was looked at');
	is($ahead, 0, 'and was never confirmed beyond the last entry');
	return;
}

1;
