#!/usr/bin/perl
#-------------------------------------------------------------------------
# bench.pl
#	One table of figures: how long the server takes to decode the same WAL
#	with each plugin, and what the sidecar makes of it.  Called by "make bench".
#
#	BENCH_CHANGES=about how many changes (default 1000000)
#	BENCH_RUNS=runs of which the median counts (default 3)
#
# All plugins decode the same WAL: their slots are copies of one slot, all are
# read by the same receiver (drain.c), and none is advanced.  Runs of the
# plugins alternate, so that a slow minute of the machine meets all of them.
#-------------------------------------------------------------------------
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use Time::HiRes qw(time);

my $top;

BEGIN
{
	$top = abs_path(dirname(__FILE__) . '/../..');
	unshift @INC, "$top/test/lib";
}
use CdcS3::Proc qw(capture temp_folder slurp poll);
use CdcS3::Cluster;
use CdcS3::Sidecar;
use CdcS3::Test qw(file_store);

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
	my $libs = run_or_die(
		[qw(pkg-config --libs libpq libcurl openssl libzstd zlib jansson)]);
	run_or_die(
		[
			'cc', '-std=c11', '-O2', '-D_GNU_SOURCE', "-I$top/uploader",
			"-I$top/plugin", '-o', $stages, "$top/test/bench/stages.c",
			"$top/uploader/libcdc.a", split(' ', $libs), '-lm', '-pthread'
		]);
	$source->psql('bench', <<'SQL');
create table nine (id bigint primary key, a text, b integer, c numeric(12,2),
	d timestamptz, e text, f double precision, g date, h boolean);
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
sub write_changes
{
	my ($source) = @_;
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
	return $source->psql('bench', 'select pg_current_wal_flush_lsn()');
}

# One read of a slot by drain: { seconds, cpu, messages, bytes }.
sub drain_once
{
	my ($conninfo, $plugin, $lsn) = @_;
	my $out =
	  run_or_die([ $drain, $conninfo, $plugin->{slot}, $lsn,
			@{ $plugin->{options} } ]);
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

# From start to the moment when all is durable.
sub sidecar_once
{
	my ($source, $cdc, $lsn) = @_;
	my $query = "select confirmed_flush_lsn >= '$lsn' from "
	  . "pg_replication_slots where slot_name = '$cdc->{slot}'";
	my $start = time;
	my $run = $cdc->start;
	poll(
		sub {
			die "run ended:\n" . $run->errors unless $run->alive;
			return $source->psql('bench', $query) eq 't';
		},
		900) or die "run did not come to the end:\n" . $run->errors;
	my $seconds = time - $start;
	my ($cpu, $peak) = usage($run->pid);
	my $code = $run->stop('TERM', 60);
	die "run: exit code $code:\n" . $run->errors if $code;

	my $rows = 0;
	for my $entry ($cdc->entries)
	{
		$rows += $_->{rows} for $cdc->entry_objects($entry);
	}
	my $bytes = 0;
	$bytes += -s "$cdc->{store}{folder}/$_" for $cdc->objects;
	return {
		seconds => $seconds,
		cpu => $cpu,
		peak => $peak,
		rows => $rows,
		bytes => $bytes
	};
}

build();
my $source = CdcS3::Cluster->new(
	'bench',
	tcp => 1,
	conf => [
		'shared_buffers = 512MB', 'max_wal_size = 16GB',
		'checkpoint_timeout = 1h', 'autovacuum = off',
		'max_replication_slots = 20', 'wal_sender_timeout = 5min',
		'logical_decoding_work_mem = 64MB'
	])->start;
$source->psql('postgres', 'create database bench');
$source->pgbench('bench', '-i', '-q', '-s', 5);
$source->psql('bench', <<'SQL');
create table orders (
	order_id bigint primary key, customer_id integer not null, isin text,
	quantity numeric(18, 4), price numeric, currency char(3), urgent boolean,
	traded_at timestamptz, settles_on date, note text, details jsonb);
create publication bench for all tables;
SQL

# A plugin that the server does not have is left out, and said so.
my @plugins = (
	{ name => 'null plugin', plugin => $null_plugin, options => [] },
	{
		name => 'cdc_s3',
		plugin => 'cdc_s3',
		options => ['proto_version=1']
	},
	{
		name => 'pgoutput',
		plugin => 'pgoutput',
		options => [ 'proto_version=1', 'publication_names=bench' ]
	},
	{
		name => 'pgoutput, binary',
		plugin => 'pgoutput',
		options => [ 'proto_version=1', 'publication_names=bench', 'binary=true' ]
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
my (@found, @left_out);
$source->psql('bench',
	"select pg_create_logical_replication_slot('origin', 'test_decoding')");
for my $p (@plugins)
{
	$p->{slot} = 's' . @found;
	my $r = $source->try_psql('bench',
			"select pg_copy_logical_replication_slot('origin', '$p->{slot}', "
		  . "false, '$p->{plugin}')");
	if ($r->{code}) { push @left_out, $p->{name}; }
	else { push @found, $p; }
}
my @sidecars = map {
	CdcS3::Sidecar->new(
		$source, 'bench', file_store(),
		slot => "sidecar_$_",
		flags => [ '--load.mode=never', '--flush.interval=2s' ])
} 1 .. $runs;
$_->ok('init') for @sidecars;

print "writing about $wanted changes … ";
my $wal_start = $source->psql('bench', 'select pg_current_wal_lsn()');
my $start = time;
my $lsn = write_changes($source);
my $wal = $source->psql('bench', "select pg_wal_lsn_diff('$lsn', '$wal_start')");
printf "%.1f s, %d MB of WAL\n", time - $start, $wal / 1e6;

my %way = (
	socket => $source->conninfo('bench'),
	tcp => $source->conninfo('bench', tcp => 1));
for my $n (1 .. $runs)
{
	for my $p (@found)
	{
		for my $way (sort keys %way)
		{
			my $f = drain_once($way{$way}, $p, $lsn);
			push @{ $p->{$way}{$_} }, $f->{$_} for keys %$f;
		}
	}
}
my @ends = map { sidecar_once($source, $_, $lsn) } @sidecars;
my $rows = $ends[0]{rows};

printf "\nDecoding the same WAL, %d changes, medians of %d runs\n\n", $rows, $runs;
printf "%-18s %9s %9s %9s %9s %9s %9s %9s %9s\n", 'plugin', 'socket s',
  'to null', 'to cdc_s3', 'tcp s', 'CPU s', 'rows/s', 'B/change', 'messages';
my ($null) = grep { $_->{plugin} eq $null_plugin } @found;
my ($ours) = grep { $_->{plugin} eq 'cdc_s3' } @found;
for my $p (@found)
{
	my $s = median(@{ $p->{socket}{seconds} });
	printf "%-18s %9.2f %9s %9s %9.2f %9.2f %9d %9.1f %9d\n", $p->{name}, $s,
	  ($null ? sprintf('%.2f', $s / median(@{ $null->{socket}{seconds} })) : '-'),
	  ($ours ? sprintf('%.2f', $s / median(@{ $ours->{socket}{seconds} })) : '-'),
	  median(@{ $p->{tcp}{seconds} }), median(@{ $p->{socket}{cpu} }),
	  $rows / $s, $p->{socket}{bytes}[0] / $rows, $p->{socket}{messages}[0];
}
print "left out, the server has no such plugin: @left_out\n" if @left_out;

my $s = median(map { $_->{seconds} } @ends);
my $cpu = median(map { $_->{cpu} } @ends);
printf "\nEnd to end: cdc-s3 run to %s, from start to durable\n\n", 'file://';
printf "%-34s %12.2f\n", 'seconds', $s;
printf "%-34s %12d\n", 'rows/s', $rows / $s;
printf "%-34s %12.2f\n", 'sidecar CPU µs/row', $cpu / $rows * 1e6;
printf "%-34s %12.1f\n", 'sidecar peak RSS, MB',
  median(map { $_->{peak} } @ends) / 1024;
printf "%-34s %12.1f\n", 'lake, bytes/row',
  median(map { $_->{bytes} } @ends) / $rows;
printf "%-34s %12.2f\n", 'ratio to decoding by the null plugin',
  $s / median(@{ $null->{socket}{seconds} })
  if $null;
print "\nCPU of the sidecar's stages, one thread\n\n", stages($source);
