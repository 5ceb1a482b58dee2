#!/usr/bin/perl
#-------------------------------------------------------------------------
# bench.pl
#	One table of figures: how long the server takes to decode the same WAL
#	with each plugin, and what the sidecar makes of it.  Called by "make bench".
#
#	BENCH_CHANGES=about how many changes (default 1000000)
#	BENCH_RUNS=runs of which the median counts (default 3)
#	BENCH_CASES=which cases, by name (default: all)
#	BENCH_PLUGINS=which plugins besides null_plugin and cdc_s3 (default: all)
#
# Each case has a server of its own.  All plugins decode the same WAL: their
# slots are copies of one slot, all are read by the same receiver (drain.c),
# and none is advanced.  Runs of the plugins and of the sidecar alternate, so
# that a slow minute of the machine meets all of them.
#
# Both are timed from the start of the stream: the plugin until its last byte
# is read, the sidecar until an entry of the log that covers all is durable.
# It is asked for that checkpoint as soon as the server has sent everything,
# since what is left to wait of flush.interval is no work.
#-------------------------------------------------------------------------
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use IPC::Open2 qw(open2);
use Time::HiRes qw(time sleep);

my $top;

BEGIN
{
	$top = abs_path(dirname(__FILE__) . '/../..');
	unshift @INC, "$top/test/lib";
}
use CdcS3::Proc qw(capture temp_folder slurp poll);
use CdcS3::Cluster;
use CdcS3::Sidecar;
use CdcS3::Test qw(file_store s3_store have_s3 s3_missing);

my $wanted = $ENV{BENCH_CHANGES} || 1_000_000;
my $runs = $ENV{BENCH_RUNS} || 3;
my $null_plugin = 'null_plugin';
my $drain = "$top/build/bench/drain";

$| = 1;

sub median
{
	my @v = sort { $a <=> $b } @_;
	return @v % 2 ? $v[ $#v / 2 ] : ($v[ @v / 2 - 1 ] + $v[ @v / 2 ]) / 2;
}

sub run_or_die
{
	my ($cmd, %o) = @_;
	my $r = capture($cmd, timeout => 900, %o);
	die "@$cmd: $r->{err}$r->{out}" if $r->{code};
	return $r->{out};
}

# The receiver, and the plugin that does nothing.
sub build
{
	make_path(dirname($drain));
	my $libpq = run_or_die([qw(pkg-config --cflags --libs libpq)]);
	run_or_die(
		[
			'cc', '-O2', '-D_GNU_SOURCE', '-o', $drain,
			"$top/test/bench/drain.c", split ' ', $libpq
		]);
	run_or_die([ 'make', '-s', '-C', "$top/test/bench/null_plugin" ])
	  if -e "$top/test/bench/null_plugin/Makefile";
	return;
}

# What one row of nine columns costs in each stage of the sidecar (stages.c).
sub stages
{
	my ($source) = @_;
	my $stages = "$top/build/bench/stages";
	my $hex = temp_folder() . '/packets.hex';
	my $libs = run_or_die([ 'make', '-s', '-C', "$top/uploader", 'libs' ]);
	run_or_die(
		[
			'cc', '-std=c11', '-O2', '-D_GNU_SOURCE', "-I$top/uploader",
			"-I$top/plugin", '-o', $stages, "$top/test/bench/stages.c",
			"$top/uploader/libcdc.a", split(' ', $libs)
		]);
	$source->psql('bench', <<'SQL');
select pg_create_logical_replication_slot('stages', 'cdc_s3');
insert into nine select i, 'customer ' || i, i % 1000, i * 0.01, now(),
	'some longer text value for row ' || i, i * 0.37, current_date, true
from generate_series(1, 50000) i;
SQL
	open my $f, '>', $hex or die "$hex: $!";
	print {$f} $source->psql('bench',
		"select encode(data, 'hex') from pg_logical_slot_get_binary_changes("
		  . "'stages', null, null, 'tables', 'public.nine')"),
	  "\n";
	close $f or die "$hex: $!";
	$source->psql('bench', "select pg_drop_replication_slot('stages')");
	return run_or_die([ $stages, $hex ]);
}

# Mixed changes: large and small transactions; numbers, texts, times, jsonb.
sub write_mixed
{
	my ($source) = @_;
	$source->pgbench('bench', '-i', '-q', '-s', 5);
	my $inserts = int($wanted * 0.4);
	my $step = 10_000;
	for (my $from = 1; $from <= $inserts; $from += $step)
	{
		my $to = $from + $step - 1;
		$source->psql('bench', <<"SQL");
insert into orders
select i, i % 5000, 'IE00' || i, i / 8.0, (i % 9973) / 7.0, 'EUR', i % 3 = 0,
	timestamptz '2026-11-01 08:00+00' + i * interval '1.2 seconds',
	date '2026-11-03' + i % 5, case when i % 17 > 0 then 'note ' || i end,
	jsonb_build_object('k', i, 'v', 'value ' || i)
from generate_series($from, $to) i;
SQL
	}
	my $updates = int($wanted * 0.25);
	for (my $from = 1; $from <= $updates; $from += $step)
	{
		my $to = $from + $step - 1;
		$source->psql('bench',
				"update orders set price = price + 1, note = 'again' "
			  . "where order_id between $from and $to");
	}
	my $deletes = int($wanted * 0.1);
	$source->psql('bench', "delete from orders where order_id <= $deletes");
	my $transactions = int($wanted * 0.25 / 4 / 2) || 1;
	$source->pgbench('bench', '-c', 2, '-j', 2, '-t', $transactions);
	return;
}

my $nine_values = "'customer ' || i, i % 1000, i * 0.01, now(), "
  . "'some longer text value for row ' || i, i * 0.37, current_date, true";

sub write_bulk
{
	my ($source, $changes) = @_;
	my $step = 20_000;
	for (my $from = 1; $from <= ($changes // $wanted); $from += $step)
	{
		$source->psql('bench',
				"insert into nine select i, $nine_values "
			  . "from generate_series($from, $from + $step - 1) i");
	}
	return;
}

sub write_single
{
	my ($source) = @_;
	my $n = int($wanted / 2);
	$source->psql('bench', <<"SQL");
create procedure singles() language plpgsql as \$\$
begin
	for i in 1 .. $n loop
		insert into nine select i, $nine_values;
		commit;
	end loop;
end \$\$;
set synchronous_commit = off;
call singles();
SQL
	return;
}

# 600 columns, every tenth a text, a third null.
sub write_wide
{
	my ($source) = @_;
	my $rows = int($wanted / 20);
	my @cols = map { $_ % 10 == 0 ? "c$_ text" : "c$_ integer" } 1 .. 600;
	my @values = map {
			$_ % 3 == 0    ? 'null'
		  : $_ % 10 == 0 ? "'text ' || i"
		  :                "i + $_"
	} 1 .. 600;
	local $" = ', ';
	$source->psql('bench', "create table wide (id bigint primary key, @cols)");
	for (my $from = 1; $from <= $rows; $from += 1000)
	{
		$source->psql('bench',
				"insert into wide select i, @values "
			  . "from generate_series($from, $from + 999) i");
	}
	return;
}

# 10,000 tables that are written in turn.
sub write_many
{
	my ($source, $changes) = @_;
	my $rounds = int(($changes // $wanted) / 100_000) || 1;
	(my $values = $nine_values) =~ s/'/''/g;
	$values =~ s/%/%%/g; # it goes through format()
	$source->psql('bench', <<"SQL");
create procedure many() language plpgsql as \$\$
begin
	for r in 1 .. $rounds loop
		for i in 1 .. 10000 loop
			execute format('insert into many_%s select i, $values '
				|| 'from generate_series(%s, %s) i', i, r * 10, r * 10 + 9);
			if i % 100 = 0 then commit; end if;
		end loop;
	end loop;
end \$\$;
SQL
	$source->psql('bench', 'call many()');
	return;
}

sub create_many
{
	my ($source) = @_;
	for my $k (0 .. 99)
	{
		$source->psql('bench',
			join "\n", map { "create table many_$_ (like nine including all);" }
			  map { $k * 100 + $_ } 1 .. 100);
	}
	return;
}

my @cases = (
	{
		name => 'mixed',
		says => 'inserts, updates, deletes in large transactions, and pgbench',
		write => \&write_mixed,
		s3 => 1
	},
	{
		name => 'bulk',
		says => 'rows of nine columns, 20,000 a transaction',
		write => \&write_bulk
	},
	{
		name => 'single',
		says => 'the same rows, one a transaction',
		write => \&write_single
	},
	{ name => 'wide', says => 'rows of 600 columns', write => \&write_wide },
	{
		name => 'many',
		says => '10,000 tables',
		before => \&create_many,
		write => \&write_many
	});

# One read of a slot by drain: { seconds, cpu, messages, bytes }.
sub drain_once
{
	my ($conninfo, $plugin, $lsn) = @_;
	my $out =
	  run_or_die([ $drain, $conninfo, $plugin->{slot}, $lsn,
			@{ $plugin->{options} } ], env => $plugin->{env} // {});
	my %figures = $out =~ /(\w+)=([\d.]+)/g;
	return \%figures;
}

# CPU seconds of a process that runs, and its peak resident memory in kB.
sub usage
{
	my ($pid) = @_;
	my ($stat) = slurp("/proc/$pid/stat") =~ /\)\s+(.*)/s;
	my @f = split ' ', $stat;
	my ($peak) = slurp("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m;
	return (($f[11] + $f[12]) / 100, $peak);
}

# A connection that stays: starting psql would take what is to be measured.
sub connection
{
	my ($cluster, $db) = @_;
	my $pid = open2(my $out, my $in, CdcS3::Cluster::program('psql'),
		'-X', '-q', '-A', '-t', '-d', $cluster->conninfo($db));
	my $ask = sub {
		print {$in} "$_[0];\n";
		$in->flush;
		chomp(my $line = <$out> // die "psql ended\n");
		return $line;
	};
	my $close = sub { close $in; close $out; waitpid $pid, 0; };
	return ($ask, $close);
}

# Waits until an entry in the log of run covers lsn.
sub wait_covered
{
	my ($run, $lsn) = @_;
	my $number = sub { my ($h, $l) = $_[0] =~ m{(\w+)/(\w+)}; hex($h) * 2**32 + hex $l };
	my $target = $number->($lsn);
	my $deadline = time + 900;
	while (time < $deadline)
	{
		my ($last) = slurp($run->{err_path}) =~ /.*event="entry written".*? lsn=(\S+)/s;
		return if $last && $number->($last) >= $target;
		die "run ended:\n" . $run->errors unless $run->alive;
		$run->signal('USR1');
		sleep 0.02;
	}
	die "run did not come to the end:\n" . $run->errors;
}

# From the start of the stream to the moment when all is durable.
sub sidecar_once
{
	my ($source, $cdc, $lsn) = @_;
	my ($ask, $close) = connection($source, 'bench');
	my $run = $cdc->start;
	poll(
		sub {
			die "run ended:\n" . $run->errors unless $run->alive;
			return -e $run->{err_path} && $run->errors =~ /event=streaming/;
		},
		60) or die "run does not stream:\n" . $run->errors;
	my ($stamp) = $run->errors =~ /time=\S+T(\S+)Z level=info event=streaming/;
	while ($ask->("select count(*) from pg_stat_replication "
			  . "where sent_lsn >= '$lsn'") == 0)
	{
		die "run ended:\n" . $run->errors unless $run->alive;
		sleep 0.01;
	}
	wait_covered($run, $lsn);
	my ($cpu, $peak) = usage($run->pid);
	my ($end) = $run->errors =~ /.*time=\S+T(\S+)Z \S+ event="entry written"/s;
	$close->();
	my $code = $run->stop('TERM', 60);
	die "run: exit code $code:\n" . $run->errors if $code;

	my $seconds = of_day($end) - of_day($stamp);
	$seconds += 86400 if $seconds < 0;
	my ($rows, $bytes, $objects) = (0, 0, 0);
	for my $entry ($cdc->entries)
	{
		for ($cdc->entry_objects($entry))
		{
			$rows += $_->{rows};
			$bytes += $_->{bytes};
			$objects++;
		}
	}
	return {
		seconds => $seconds,
		cpu => $cpu,
		peak => $peak,
		rows => $rows,
		bytes => $bytes,
		objects => $objects
	};
}

# A plugin that the server does not have is left out, and said so.
sub plugins
{
	return (
		{ name => 'null plugin', plugin => $null_plugin, options => [] },
		{
			name => 'cdc_s3',
			plugin => 'cdc_s3',
			options => ['proto_version=1']
		},
		{
			# All of the walsender's work left to the server.
			name => 'cdc_s3, alone',
			plugin => 'cdc_s3',
			options => ['proto_version=1'],
			env => { PGOPTIONS => '-c cdc_s3.read_ahead=0 -c cdc_s3.send_bytes=0' }
		},
		{
			name => 'pgoutput',
			plugin => 'pgoutput',
			options => [ 'proto_version=1', 'publication_names=bench' ]
		},
		{
			name => 'pgoutput, binary',
			plugin => 'pgoutput',
			options =>
			  [ 'proto_version=1', 'publication_names=bench', 'binary=true' ]
		},
		{
			name => 'test_decoding',
			plugin => 'test_decoding',
			options => ['skip-empty-xacts=1']
		},
		{
			name => 'wal2json',
			plugin => 'wal2json',
			options => ['format-version=2']
		});
}

sub new_source
{
	my $source = CdcS3::Cluster->new(
		'bench',
		tcp => 1,
		conf => [
			'shared_buffers = 512MB', 'max_wal_size = 16GB',
			'checkpoint_timeout = 1h', 'autovacuum = off',
			'max_replication_slots = 30', 'wal_sender_timeout = 5min',
			'logical_decoding_work_mem = 64MB',
			'max_locks_per_transaction = 1000'
		])->start;
	$source->psql('postgres', 'create database bench');
	$source->psql('bench', <<'SQL');
create table orders (
	order_id bigint primary key, customer_id integer not null, isin text,
	quantity numeric(18, 4), price numeric, currency char(3), urgent boolean,
	traded_at timestamptz, settles_on date, note text, details jsonb);
create table nine (id bigint primary key, a text, b integer, c numeric(12,2),
	d timestamptz, e text, f double precision, g date, h boolean);
create publication bench for all tables;
SQL
	return $source;
}

# Slots for all plugins at one position: (found, names of those left out).
sub make_slots
{
	my ($source) = @_;
	my (@found, @left_out);
	$source->psql('bench',
		"select pg_create_logical_replication_slot('origin', 'test_decoding')");
	my %wanted = map { $_ => 1 } $null_plugin, 'cdc_s3', split ' ',
	  $ENV{BENCH_PLUGINS} // '';
	for my $p (plugins())
	{
		next if $ENV{BENCH_PLUGINS} && !$wanted{ $p->{plugin} };
		$p->{slot} = 's' . @found;
		my $r = $source->try_psql('bench',
				"select pg_copy_logical_replication_slot('origin', "
			  . "'$p->{slot}', false, '$p->{plugin}')");
		if ($r->{code}) { push @left_out, $p->{name}; }
		else { push @found, $p; }
	}
	return (\@found, \@left_out);
}

# Sidecars to each store: ({ name, runs => [one sidecar a run] }, …).
sub make_sidecars
{
	my ($source, $case) = @_;
	my @ends = ({ name => 'file://', make => \&file_store });
	if ($case->{s3})
	{
		if (have_s3()) { push @ends, { name => 'versitygw', make => \&s3_store }; }
		else { print 'left out, no S3 server: ', s3_missing(), "\n"; }
	}
	for my $end (@ends)
	{
		(my $name = $end->{name}) =~ s/\W//g;
		$end->{runs} = [
			map {
				CdcS3::Sidecar->new(
					$source, 'bench', $end->{make}->(),
					slot => "sidecar_${name}_$_",
					flags => [ '--load.mode=never', '--flush.interval=1s' ])
			} 1 .. $runs
		];
		$_->ok('init') for @{ $end->{runs} };
	}
	return @ends;
}

sub print_plugins
{
	my ($found, $rows) = @_;
	my ($null) = grep { $_->{plugin} eq $null_plugin } @$found;
	my ($ours) = grep { $_->{plugin} eq 'cdc_s3' } @$found;
	printf "%-18s %8s %8s %8s %8s %8s %8s %8s %9s %9s\n", 'plugin', 'socket s',
	  'to null', 'of us', 'tcp s', 'to null', 'of us', 'CPU s', 'B/change',
	  'messages';
	for my $p (@$found)
	{
		my @f;
		for my $way (qw(socket tcp))
		{
			my $s = median(@{ $p->{$way}{seconds} });
			push @f, sprintf('%.2f', $s),
			  ($null ? sprintf('%.2f', $s / median(@{ $null->{$way}{seconds} }))
				: '-'),
			  ($ours ? sprintf('%.2f', $s / median(@{ $ours->{$way}{seconds} }))
				: '-');
		}
		printf "%-18s %8s %8s %8s %8s %8s %8s %8.2f %9.1f %9d\n", $p->{name}, @f,
		  median(@{ $p->{socket}{cpu} }), $p->{socket}{bytes}[0] / $rows,
		  $p->{socket}{messages}[0];
	}
	return;
}

# Ratios are of rates: how many times as fast as the plugin alone.
sub print_ends
{
	my ($found, @ends) = @_;
	printf "\n%-18s %8s %8s %8s %8s %8s %8s %8s %8s %8s\n", 'to', 'seconds',
	  'rows/s', 'x null', 'x pgo', 'x pgo tcp', 'CPU us/r', 'RSS MB', 'B/row',
	  'objects';
	my %at;
	for my $p (@$found)
	{
		$at{"$p->{plugin} $_"} //= median(@{ $p->{$_}{seconds} })
		  for qw(socket tcp);
	}
	for my $end (@ends)
	{
		my @r = @{ $end->{figures} };
		my $s = median(map { $_->{seconds} } @r);
		my $rows = $r[0]{rows};
		printf "%-18s %8.2f %8d %8.2f %8.2f %8.2f %8.2f %8.1f %8.1f %8d\n",
		  $end->{name}, $s, $rows / $s, $at{"$null_plugin socket"} / $s,
		  ($at{'pgoutput socket'} // 0) / $s, ($at{'pgoutput tcp'} // 0) / $s,
		  median(map { $_->{cpu} } @r) / $rows * 1e6,
		  median(map { $_->{peak} } @r) / 1024,
		  median(map { $_->{bytes} } @r) / $rows,
		  median(map { $_->{objects} } @r);
	}
	return;
}

sub run_case
{
	my ($case) = @_;
	my $source = new_source();
	$case->{before}->($source) if $case->{before};
	my ($found, $left_out) = make_slots($source);
	my @ends = make_sidecars($source, $case);

	printf "\n== %s: %s\n\n", $case->{name}, $case->{says};
	$case->{write}->($source);
	my $lsn = $source->psql('bench', 'select pg_current_wal_insert_lsn()');
	# What ends behind it has all before it: a last row, which is flushed.
	$source->psql('bench', 'insert into orders values (-1, 0)');
	my %way = (
		socket => $source->conninfo('bench'),
		tcp => $source->conninfo('bench', tcp => 1));
	for my $n (0 .. $runs - 1)
	{
		for my $p (@$found)
		{
			for my $way (sort keys %way)
			{
				my $f = drain_once($way{$way}, $p, $lsn);
				push @{ $p->{$way}{$_} }, $f->{$_} for keys %$f;
			}
		}
		push @{ $_->{figures} }, sidecar_once($source, $_->{runs}[$n], $lsn)
		  for @ends;
	}
	my $rows = $ends[0]{figures}[0]{rows};
	printf "%d changes, medians of %d runs; \"of us\": times the time of cdc_s3\n\n",
	  $rows, $runs;
	print_plugins($found, $rows);
	print "left out, the server has no such plugin: @$left_out\n" if @$left_out;
	print_ends($found, @ends);
	$source->stop('immediate');
	return;
}

sub of_day
{
	my ($h, $m, $s) = split /:/, $_[0];
	return $h * 3600 + $m * 60 + $s;
}

# (LSN as 16 hex digits, second of the day it was durable) of each entry.
sub entry_times
{
	my ($log) = @_;
	my @e;
	while ($log =~ /time=\S+T(\S+)Z \S+ event="entry written".*? lsn=(\w+)\/(\w+)/g)
	{
		push @e, [ sprintf('%08s%08s', $2, $3) =~ tr/ /0/r, of_day($1) ];
	}
	return @e;
}

# Seconds from each row's commit to the entry that lists it, in order.
sub latencies
{
	my ($cdc, $log) = @_;
	my @entries = entry_times($log);
	my (@seconds, $i);
	for (split /\n/, $cdc->replay)
	{
		my ($lsn, $ts) = /"_lsn":"(\w+)".*?"_ts":"[^T]*T([^"Z]+)/ or next;
		$i //= 0;
		$i++ while $i < @entries && $entries[$i][0] lt $lsn;
		last if $i == @entries;
		my $s = $entries[$i][1] - of_day($ts);
		push @seconds, $s < -43200 ? $s + 86400 : $s;
	}
	return sort { $a <=> $b } @seconds;
}

# From commit to durable at half of the load that this machine makes at all,
# and what run does when nothing happens.
sub latency
{
	my $seconds = 20;
	my $source = new_source();
	$source->pgbench('bench', '-i', '-q', '-s', 5);
	my $cdc = CdcS3::Sidecar->new(
		$source, 'bench', file_store(),
		flags => [ '--load.mode=never', '--flush.interval=1s' ]);
	$cdc->ok('init');
	my $run = $cdc->start;
	my ($tps) = $source->pgbench('bench', '-c', 2, '-j', 2, '-T', 5) =~
	  /^tps = ([\d.]+)/m;
	$cdc->wait_durable or die $run->errors;
	my ($before) = usage($run->pid);
	my $entries = () = $cdc->entry_files;
	sleep 10;
	my ($after) = usage($run->pid);
	my $idle = (() = $cdc->entry_files) - $entries;
	my $rate = int($tps / 2);
	$source->pgbench('bench', '-c', 2, '-j', 2, '-R', $rate, '-T', $seconds);
	$cdc->wait_durable or die $run->errors;
	$run->stop('TERM', 60);
	my @s = latencies($cdc, $run->errors);
	printf "%d transactions/s, half of what pgbench reached; %d rows\n", $rate,
	  scalar @s;
	printf "commit to durable, s: median %.2f, p99 %.2f, longest %.2f\n",
	  $s[ @s / 2 ], $s[ @s * 0.99 ], $s[-1];
	printf "idle for 10 s: %.2f s of CPU, %d entries\n", $after - $before, $idle;
	$source->stop('immediate');
	return;
}

build();
my %only = map { $_ => 1 } split ' ', $ENV{BENCH_CASES} // '';
for my $case (@cases)
{
	run_case($case) if !%only || $only{ $case->{name} };
}
if (!%only || $only{latency})
{
	print "\n== latency: flush.interval 1 s\n\n";
	latency();
}
if (!%only || $only{merge})
{
	print "\n== merge\n\n";
	require "$top/test/bench/merge.pl";
	merge_bench();
}
if (!%only || $only{metrics})
{
	print "\n== metrics: http.listen and a scrape each second\n\n";
	require "$top/test/bench/metrics.pl";
	metrics_bench();
}
if (!%only || $only{sizing})
{
	print "\n== sizing: requests and WAL\n\n";
	require "$top/test/bench/sizing.pl";
	sizing_bench();
}
if (!%only || $only{load})
{
	print "\n== load\n\n";
	require "$top/test/bench/load.pl";
	load_bench();
}
if (!%only || $only{parquet})
{
	print "\n== parquet\n\n";
	require "$top/test/bench/parquet.pl";
	parquet_bench($top);
}
if (!%only || $only{stages})
{
	my $source = new_source();
	print "\n== stages of the sidecar, one thread\n\n", stages($source);
}
