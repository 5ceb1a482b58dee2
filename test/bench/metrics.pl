#-------------------------------------------------------------------------
# metrics.pl
#	What it costs to be looked at: CPU a row with and without http.listen and
#	a scrape each second, and how long an answer takes while 10,000 tables
#	stream.  Part of "make bench"; BENCH_CASES=metrics for this alone.
#
#	BENCH_CHANGES=about how many changes (default 8000000 rows of nine
#		columns, and 400000 of 10,000 tables: some seconds each, since a
#		stream that is over before it is looked at shows nothing)
#	BENCH_RUNS=runs of which the median counts (default 3)
#
# Runs with and without alternate, and stream the same WAL.  The CPU is that of
# cdc-s3 alone: whoever scrapes is another process.  A run's seconds differ by
# some percent from each other, so that the share is printed in a second way,
# too: the CPU that a scrape takes when nothing else goes on, for each second,
# in the CPU that run takes a second while it streams.
#-------------------------------------------------------------------------
use strict;
use warnings;

use HTTP::Tiny;
use POSIX ();
use Time::HiRes qw(time sleep);

my $runs = $ENV{BENCH_RUNS} || 3;
my $scrapes = 500;

# One answer while it streams: (seconds, bytes).
sub scrape
{
	my ($port) = @_;
	my $start = time;
	my $r = HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port/metrics");
	my $seconds = time - $start;
	return ($seconds, length $r->{content}) if $r->{content} =~ /^cdc_s3_connected 1$/m;
	return;
}

# Scrapes each second until the pipe that it is given is closed; then it says
# how many answers came, the longest and the largest.
sub scraper
{
	my ($port) = @_;
	pipe my $stop, my $go or die "pipe: $!";
	pipe my $said, my $says or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		close $go;
		my ($n, $longest, $largest) = (0, 0, 0);
		my $bits = '';
		vec($bits, fileno $stop, 1) = 1;
		while (!select my $ready = $bits, undef, undef, 1)
		{
			my ($s, $bytes) = scrape($port) or next;
			$n++;
			$longest = $s if $s > $longest;
			$largest = $bytes if $bytes > $largest;
		}
		syswrite $says, "$n $longest $largest\n";
		POSIX::_exit(0);
	}
	close $says;
	return sub {
		close $go;
		my ($n, $longest, $largest) = split ' ', <$said> // '0 0 0';
		waitpid $pid, 0;
		return { scrapes => $n, longest => $longest, largest => $largest };
	};
}

# CPU seconds of one scrape of a run that has seen all tables and is idle.
sub scrape_alone
{
	my ($source, $cdc, $port, $lsn) = @_;
	my $run = $cdc->start;
	poll(sub { $run->errors =~ /event=streaming/ }, 60) or die "run does not stream:\n" . $run->errors;
	wait_covered($run, $lsn);
	my ($before) = usage($run->pid);
	scrape($port) for 1 .. $scrapes;
	my ($after) = usage($run->pid);
	my $code = $run->stop('TERM', 60);
	die "run: exit code $code:\n" . $run->errors if $code;
	return ($after - $before) / $scrapes;
}

sub metrics_sidecar
{
	my ($source, $slot, @flags) = @_;
	my $cdc = CdcS3::Sidecar->new(
		$source, 'bench', file_store(),
		slot => $slot,
		flags => [ '--load.mode=never', '--flush.interval=1s', @flags ]);
	$cdc->ok('init');
	return $cdc;
}

sub metrics_case
{
	my ($name, $case) = @_;
	my $source = new_source();
	$case->{before}->($source) if $case->{before};
	my @port = map { CdcS3::Proc::free_port() } 0 .. $runs;
	my @with = map { metrics_sidecar($source, "with_$_", "--http.listen=127.0.0.1:$port[$_]") }
	  0 .. $runs;
	my @without = map { metrics_sidecar($source, "without_$_") } 1 .. $runs;
	$case->{write}->($source, $ENV{BENCH_CHANGES} // $case->{changes});
	my $lsn = $source->psql('bench', 'select pg_current_wal_insert_lsn()');
	$source->psql('bench', 'insert into orders values (-1, 0)');
	my (@looked, @alone);
	for my $n (1 .. $runs)
	{
		push @alone, sidecar_once($source, $without[ $n - 1 ], $lsn);
		my $end = scraper($port[$n]);
		my $figures = sidecar_once($source, $with[$n], $lsn);
		push @looked, { %$figures, %{ $end->() } };
	}
	my $each = scrape_alone($source, $with[0], $port[0], $lsn);
	my $rows = $alone[0]{rows};
	my $of = sub { my ($what, @r) = @_; median(map { $_->{$what} } @r) };
	my ($a, $b) = map { $_ / $rows * 1e6 } $of->('cpu', @alone), $of->('cpu', @looked);
	printf "%s: %d changes, medians of %d runs\n", $name, $rows, $runs;
	printf "  CPU us a row: %.3f alone, %.3f with a scrape each second (%+.1f %%)\n",
	  $a, $b, ($b / $a - 1) * 100;
	printf "  a scrape takes %.2f ms of CPU: %.2f %% of the %.2f s that run takes a second\n",
	  $each * 1e3, $each / ($of->('cpu', @alone) / $of->('seconds', @alone)) * 100,
	  $of->('cpu', @alone) / $of->('seconds', @alone);
	if (my @unseen = grep { $_->{scrapes} == 0 } @looked)
	{
		printf "  %d of them were over before they were looked at: BENCH_CHANGES is too small\n",
		  scalar @unseen;
	}
	else
	{
		printf "  while it streams: %d scrapes, the longest %.0f ms, the largest %.0f kB\n",
		  sum_of(map { $_->{scrapes} } @looked),
		  max_of(map { $_->{longest} } @looked) * 1e3,
		  max_of(map { $_->{largest} } @looked) / 1024;
	}
	$source->stop('immediate');
	return;
}

sub sum_of { my $s = 0; $s += $_ for @_; return $s }
sub max_of { my $m = 0; $m = $_ > $m ? $_ : $m for @_; return $m }

sub metrics_bench
{
	metrics_case('rows of nine columns', { write => \&write_bulk, changes => 8_000_000 });
	metrics_case('10,000 tables',
		{ before => \&create_many, write => \&write_many, changes => 400_000 });
	return;
}

1;
