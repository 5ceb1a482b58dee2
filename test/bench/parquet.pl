#-------------------------------------------------------------------------
# parquet.pl
#	What a row costs as Parquet, how long it is beside what pyarrow writes of the
#	same rows from memory, and how fast run is beside JSON.  Part of "make
#	bench"; BENCH_CASES=parquet for this alone.
#
#	BENCH_CHANGES=about how many rows (default 1000000)
#	BENCH_RUNS=runs of which the median counts (default 3)
#
# The first table is of test/bench/parquet.c, in processor time of one thread;
# pyarrow's too, from the same rows, which it has in memory already.  The second
# is from the start of the stream until all is durable, runs of all ways in turn.
#-------------------------------------------------------------------------
use strict;
use warnings;

use CdcS3::Engines qw(have_engines engines_missing engines_python);

my $runs = $ENV{BENCH_RUNS} || 3;
my $rows = $ENV{BENCH_CHANGES} || 1_000_000;

# { way => { write, read, bytes } } of one run of the program.
sub parquet_once
{
	my ($program, $folder) = @_;
	my %figures;
	for (split /\n/, run_or_die([ $program, '-r', $rows, '-o', $folder ]))
	{
		my ($way, $write, $read, $bytes) = /^(\S+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)$/ or next;
		$figures{$way} = { write => $write, read => $read, bytes => $bytes };
	}
	die "$program told nothing\n" unless %figures;
	return \%figures;
}

# { way => { theirs, ratio, write } } of pyarrow.
sub pyarrow_once
{
	my ($top, $folder) = @_;
	my %figures;
	for (split /\n/, run_or_die([ engines_python(), "$top/test/bench/parquet_size.py", $folder ]))
	{
		my ($way, $ours, $theirs, $ratio, $write) = split;
		$figures{$way} = { theirs => $theirs / $rows, ratio => $ratio, pyarrow => $write };
	}
	return \%figures;
}

sub parquet_rows
{
	my ($top) = @_;
	my $program = "$top/build/bench/parquet";
	my $folder = temp_folder();
	my $libs = run_or_die([ 'make', '-s', '-C', "$top/uploader", 'libs' ]);
	my %all;
	run_or_die([ 'cc', '-std=c11', '-O2', '-D_GNU_SOURCE', "-I$top/uploader", "-I$top/plugin",
			'-o', $program, "$top/test/bench/parquet.c", "$top/uploader/libcdc.a", split ' ', $libs ]);
	for (1 .. $runs)
	{
		for my $f (parquet_once($program, $folder), have_engines() ? pyarrow_once($top, $folder) : ())
		{
			for my $way (keys %$f)
			{
				push @{ $all{$way}{$_} }, $f->{$way}{$_} for keys %{ $f->{$way} };
			}
		}
	}
	print 'left out: ', engines_missing(), "\n" unless have_engines();
	printf "%d rows of six columns, medians of %d runs, one thread\n\n", $rows, $runs;
	printf "%-14s %10s %10s %10s %10s %10s %10s\n", '', 'write us/r', 'read us/r', 'B/row',
	  'pyarrow us', 'pyarrow B', 'size ratio';
	for my $way (sort keys %all)
	{
		my %m = map { $_ => median(@{ $all{$way}{$_} }) } keys %{ $all{$way} };
		printf "%-14s %10.3f %10.3f %10.2f %10s %10s %10s\n", $way, @m{qw(write read bytes)},
		  map { defined $m{ $_->[0] } ? sprintf $_->[1], $m{ $_->[0] } : '-' }
		  [ 'pyarrow', '%.3f' ], [ 'theirs', '%.2f' ], [ 'ratio', '%.3f' ];
	}
	return;
}

sub parquet_ends
{
	my $source = new_source();
	my @ends = (
		{ name => 'json zstd', flags => ['--output.compression=zstd'] },
		map { { name => "parquet $_->[0]",
				flags => [ '--output.format=parquet', "--output.compression=$_->[1]", @$_[ 2 .. $#$_ ] ] } }
		  [ 'snappy', 'snappy' ], [ 'zstd', 'zstd' ], [ 'exact', 'zstd', '--output.parquet_types=exact' ]);
	for my $i (0 .. $#ends)
	{
		$ends[$i]{runs} = [
			map {
				CdcS3::Sidecar->new($source, 'bench', file_store(),
					slot => "parquet_${i}_$_",
					flags => [ '--load.mode=never', '--flush.interval=1s', @{ $ends[$i]{flags} } ])
			} 1 .. $runs
		];
		$_->ok('init') for @{ $ends[$i]{runs} };
	}
	write_bulk($source);
	my $lsn = $source->psql('bench', 'select pg_current_wal_insert_lsn()');
	# What ends behind it has all before it: a last row, which is flushed.
	$source->psql('bench', 'insert into orders values (-1, 0)');
	for my $n (0 .. $runs - 1)
	{
		push @{ $_->{figures} }, sidecar_once($source, $_->{runs}[$n], $lsn) for @ends;
	}
	printf "\nrun, %d rows of nine columns, to a folder\n\n", $ends[0]{figures}[0]{rows};
	printf "%-18s %10s %10s %10s %10s %10s\n", '', 'rows/s', 'x json', 'CPU us/r', 'B/row', 'RSS MB';
	my $json;
	for my $end (@ends)
	{
		my @f = @{ $end->{figures} };
		my $rate = median(map { $_->{rows} / $_->{seconds} } @f);
		$json //= $rate;
		printf "%-18s %10d %10.2f %10.2f %10.1f %10.1f\n", $end->{name}, $rate, $rate / $json,
		  median(map { $_->{cpu} / $_->{rows} * 1e6 } @f), median(map { $_->{bytes} / $_->{rows} } @f),
		  median(map { $_->{peak} / 1024 } @f);
	}
	$source->stop('immediate');
	return;
}

sub parquet_bench
{
	my ($top) = @_;
	parquet_rows($top);
	parquet_ends();
	return;
}

1;
