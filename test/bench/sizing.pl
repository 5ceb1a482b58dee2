#-------------------------------------------------------------------------
# sizing.pl
#	What doc/sizing.md multiplies: requests of the store by kind, with so many
#	tables that change, and WAL by row.  Part of "make bench";
#	BENCH_CASES=sizing for this alone.
#
#	BENCH_SIZING_SECONDS=how long each is watched (default 120)
#
# These are counts, not times: a busy machine prints the same.
#-------------------------------------------------------------------------
use strict;
use warnings;

use Time::HiRes qw(time sleep);

use CdcS3::FakeS3;

my $watched = $ENV{BENCH_SIZING_SECONDS} || 120;
my $flush = 10;

# Requests by kind: { PUT => n, … }; a listing is a GET of the bucket.
sub requests_by_kind
{
	my ($fake) = @_;
	my %n;
	for ($fake->requests)
	{
		my ($method, $path) = split ' ';
		my $kind = $method eq 'GET' && $path =~ /[?&](?:list-type|uploads|prefix)\b/ ? 'LIST'
		  : $method eq 'PUT' && $path =~ m{/_cdc/log/} ? 'PUT, entry'
		  : $method eq 'PUT' && $path =~ m{/_cdc/} ? 'PUT, other of _cdc'
		  : $method eq 'PUT' ? 'PUT, object'
		  : $method;
		$n{$kind}++;
	}
	return \%n;
}

sub print_requests
{
	my ($what, $n, $intervals) = @_;
	printf "  %-34s", $what;
	printf ' %s %.2f;', $_, $n->{$_} / $intervals for sort keys %$n;
	print "\n";
	return;
}

# With so many tables that change each second.
sub watch_requests
{
	my ($source, $tables) = @_;
	my $fake = CdcS3::FakeS3->start;
	my $cdc = CdcS3::Sidecar->new(
		$source, 'bench', $fake->store,
		slot => "sizing_$tables",
		flags => [ '--load.mode=never', "--flush.interval=${flush}s" ]);
	$cdc->ok('init');
	my $run = $cdc->start;
	my $change = sub {
		my $i = shift;
		$source->psql('bench', join '', map { "insert into s_$_ values ($i);" } 1 .. $tables)
		  if $tables;
	};
	$change->(-$tables - 1);
	$cdc->wait_durable or die $run->errors;
	$fake->clear;
	my ($until, $i) = (time + $watched, 0);
	while (time < $until)
	{
		$change->($tables * 100_000 + $i++);
		sleep 1;
	}
	my $n = requests_by_kind($fake);
	$run->stop('TERM', 60);
	print_requests($tables ? "$tables tables change each second" : 'nothing changes', $n,
		$watched / $flush);
	$source->psql('bench', "select pg_drop_replication_slot('sizing_$tables')");
	return;
}

# Bytes of WAL of what a statement writes, by row.
sub wal_by_row
{
	my ($source, $what, $rows, @statements) = @_;
	my $lsn = sub { $source->psql('bench', "select pg_current_wal_insert_lsn() - '0/0'") };
	$source->psql('postgres', 'checkpoint');
	$source->psql('bench', 'select 1');
	my $from = $lsn->();
	$source->psql('bench', $_) for @statements;
	printf "  %-34s %6.0f bytes a row\n", $what, ($lsn->() - $from) / $rows;
	return;
}

sub sizing_bench
{
	my $source = new_source();
	$source->psql('bench', join '', map { "create table s_$_ (id bigint primary key);" } 1 .. 100);
	print "Requests in one flush.interval of $flush s, of $watched s:\n";
	watch_requests($source, $_) for 0, 1, 10, 100;
	print "WAL, wal_level = logical, behind a checkpoint (full page images in it):\n";
	my $values = "'customer ' || i, i % 1000, i * 0.01, now(), "
	  . "'some longer text value for row ' || i, i * 0.37, current_date, true";
	my $n = 100_000;
	wal_by_row($source, 'inserts of nine columns', $n,
		"insert into nine select i, $values from generate_series(1, $n) i");
	wal_by_row($source, 'the same, one a transaction', $n / 10, <<"SQL");
do \$\$ begin for i in $n + 1 .. $n + $n / 10 loop insert into nine select i, $values; commit; end loop; end \$\$
SQL
	wal_by_row($source, 'updates of all of them', $n,
		"update nine set b = b + 1 where id <= $n");
	wal_by_row($source, 'deletes', $n, "delete from nine where id <= $n");
	$source->stop('immediate');
	return;
}

1;
