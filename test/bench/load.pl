#-------------------------------------------------------------------------
# load.pl
#	How long a first load takes beside as many sessions that COPY the same tables
#	to nowhere, and what it costs.  Part of "make bench"; BENCH_CASES=load for
#	this alone.
#
#	BENCH_CHANGES=about how many rows (default 1000000)
#	BENCH_RUNS=runs of which the median counts (default 3)
#	BENCH_LOAD_JOBS=numbers of workers (default "1 2")
#
# Two tables of the same rows and, as a third, one that is as large as both:
# that one is cut into chunks, so that all workers read it.  A session of COPY
# takes tables in turn; the large one is copied by ranges of ctid, as the workers
# do, or a single session would be what is measured.
#
# A load is timed from the start of the stream, with slot and snapshot, until the
# entry is durable that says that all is loaded.  CPU is that of cdc-s3 alone.
#-------------------------------------------------------------------------
use strict;
use warnings;

use Time::HiRes qw(time sleep);

my $runs = $ENV{BENCH_RUNS} || 3;
my $rows = int(($ENV{BENCH_CHANGES} || 1_000_000) / 4);
my @jobs = split ' ', $ENV{BENCH_LOAD_JOBS} // '1 2';
my $chunks = 8;

sub fill_load
{
	my ($source) = @_;
	$source->psql('postgres', 'create database load');
	for my $t ([ 'first', $rows ], [ 'second', $rows ], [ 'large', 2 * $rows ])
	{
		$source->psql('load', <<"SQL");
create table $t->[0] (id bigint primary key, a text, b integer, c numeric(12,2),
	d timestamptz, e text, f double precision, g date, h boolean);
insert into $t->[0] select i, 'customer ' || i, i % 1000, i * 0.01, now(),
	'some longer text value for row ' || i, i * 0.37, current_date, true
from generate_series(1, $t->[1]) i;
SQL
	}
	$source->psql('load', 'vacuum (freeze, analyze)');
	$source->psql('postgres', 'checkpoint');
	return;
}

# Statements that copy all, in pieces that sessions can take in turn.
sub copy_statements
{
	my ($source) = @_;
	my $pages = $source->psql('load', "select relpages from pg_class where relname = 'large'");
	my @bounds = map { int($pages * $_ / $chunks) } 0 .. $chunks - 1;
	return (
		'copy first to stdout',
		'copy second to stdout',
		map {
			"copy (select * from large where ctid >= '($bounds[$_],0)'"
			  . ($_ < $#bounds ? " and ctid < '($bounds[$_ + 1],0)'" : '')
			  . ') to stdout'
		} 0 .. $#bounds);
}

# Seconds that so many sessions take.
sub copy_once
{
	my ($source, $n, @statements) = @_;
	my @mine;
	push @{ $mine[ $_ % $n ] }, $statements[$_] for 0 .. $#statements;
	my $from = time;
	my @sessions = map {
		CdcS3::Proc::spawn(
			cmd => [
				CdcS3::Cluster::program('psql'),
				'-X', '-q', '-o', '/dev/null', '-d', $source->conninfo('load'),
				map { ('-c', $_) } @$_
			],
			log => temp_folder() . '/psql')
	} @mine;
	for (@sessions)
	{
		my $code = $_->wait(900);
		die "psql: exit code $code\n" if $code;
	}
	return time - $from;
}

sub load_once
{
	my ($source, $n, $make) = @_;
	my $cdc = CdcS3::Sidecar->new(
		$source, 'load', $make->(),
		slot => 'load',
		flags => [ "--load.jobs=$n", '--load.chunk=16MB', '--flush.interval=1s' ]);
	$cdc->ok('init');
	my $run = $cdc->start;
	$cdc->wait_loaded(900) or die "run: " . $run->errors;
	my ($cpu, $peak) = usage($run->pid);
	my ($begin) = $run->errors =~ /time=\S+T(\S+)Z level=info event=streaming/;
	my ($end) = $run->errors =~ /.*time=\S+T(\S+)Z \S+ event="entry written"/s;
	my $code = $run->stop('TERM', 60);
	die "run: exit code $code:\n" . $run->errors if $code;
	$source->psql('postgres', "select pg_drop_replication_slot('load')");
	my @objects = map { $cdc->entry_objects($_) } $cdc->entries;
	my $loaded = 0;
	$loaded += $_->{rows} for @objects;
	die "$loaded rows are loaded\n" if $loaded != 4 * $rows;
	my $seconds = of_day($end) - of_day($begin);
	$seconds += 86400 if $seconds < 0;
	return {
		seconds => $seconds,
		cpu => $cpu / $loaded * 1e6,
		peak => $peak / 1024,
		objects => scalar @objects
	};
}

sub load_bench
{
	my $source = new_source();
	fill_load($source);
	my @statements = copy_statements($source);
	my @stores = ([ 'file://', \&file_store ]);
	if (have_s3()) { push @stores, [ 'versitygw', \&s3_store ]; }
	else { print 'left out, no S3 server: ', s3_missing(), "\n"; }
	printf "%d rows, medians of %d runs; \"x COPY\": the time of as many sessions of "
	  . "COPY,\nby that of the load\n\n", 4 * $rows, $runs;
	printf "%-10s %5s %8s %8s %9s %8s %9s %8s %8s\n", 'to', 'jobs', 'COPY s', 'load s',
	  'rows/s', 'x COPY', 'CPU us/r', 'RSS MB', 'objects';
	for my $n (@jobs)
	{
		my (@copy, %load);
		for (1 .. $runs)
		{
			push @copy, copy_once($source, $n, @statements);
			push @{ $load{ $_->[0] } }, load_once($source, $n, $_->[1]) for @stores;
		}
		for my $store (map { $_->[0] } @stores)
		{
			my $of = sub {
				my ($key) = @_;
				return median(map { $_->{$key} } @{ $load{$store} });
			};
			my ($copy, $load) = (median(@copy), $of->('seconds'));
			printf "%-10s %5d %8.2f %8.2f %9d %8.2f %9.2f %8.1f %8d\n", $store, $n, $copy,
			  $load, 4 * $rows / $load, $copy / $load, $of->('cpu'), $of->('peak'),
			  $of->('objects');
		}
	}
	$source->stop('immediate');
	return;
}

1;
