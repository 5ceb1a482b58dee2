#-------------------------------------------------------------------------
# What a server's end does to run: a fast shutdown while the store is dead must not
# be held up; a server whose pg_wal is full dies, and run goes on when it is there
# again.
#
# The second needs a small file system of its own, so root and a mount name space,
# which also takes the mount away however this ends.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Test;

my $cannot;
if (!$ENV{CDCS3_TEST_UNSHARED})
{
	$cannot = 'mounting a small file system needs root' if $> != 0;
	if (!$cannot)
	{
		my $r = capture([ 'unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o size=1m x /mnt' ]);
		$cannot = "cannot mount: $r->{err}" if $r->{code};
	}
	if (!$cannot)
	{
		$ENV{CDCS3_TEST_UNSHARED} = 1;
		exec 'unshare', '-m', $^X, (map { "-I$_" } @INC), $0 or die "unshare: $!";
	}
}

my @flags = ('--flush.interval=1s', '--shutdown.timeout=5s');

sub insert_sql { return "insert into t select i, repeat('x', 100) from generate_series($_[0], $_[1]) i" }

# Each row once, and how many.
sub rows_are
{
	my ($cdc, $n, $what) = @_;
	my @ids = $cdc->replay =~ /"id":(\d+)/g;
	my %ids = map { $_ => 1 } @ids;
	is(scalar(@ids) . ' rows, ' . scalar(keys %ids) . ' of them different',
		"$n rows, $n of them different", $what);
	return;
}

subtest 'a fast shutdown while the store is dead' => sub {
	my $source = new_cluster('source')->start;
	my $s3 = CdcS3::FakeS3->start;
	my $cdc = sidecar($source, 'postgres', $s3->store, flags => [ @flags, '--load.mode=never' ]);
	$source->psql('postgres', 'create table t (id integer primary key, body text)');
	$cdc->ok('init');
	my $run = $cdc->start;
	$source->psql('postgres', insert_sql(1, 10));
	ok($cdc->wait_durable(120), 'rows go through') or diag $run->errors;
	$s3->fault(match => 'PUT ', times => 0, stall => 1);
	$source->psql('postgres', insert_sql(11, 5000));
	$run->signal('USR1');
	ok($source->stop('fast', 120), 'the server stops: no walsender holds it up') or diag $run->errors;
	ok($run->alive, 'run is alive');
	like($run->errors, qr/the source server is going down/, 'and says why its session ended');
	$s3->clear;
	$source->start;
	ok($cdc->wait_durable(180), 'with server and store again all is durable') or diag $run->errors;
	is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
	rows_are($cdc, 5000, 'nothing is lost, nothing is there twice');
	$source->stop('immediate');
};

subtest 'a server whose pg_wal is full' => sub {
	plan skip_all => $cannot if $cannot;
	my $small = temp_folder() . '/small';
	mkdir $small or die "$small: $!";
	my $r = capture([ 'mount', '-t', 'tmpfs', '-o', 'size=48m,mode=777', 'small', $small ]);
	die $r->{err} if $r->{code};
	at_end(sub { capture([ 'umount', '-l', $small ]) });
	my $source = new_cluster(
		'full',
		initdb => [ '--wal-segsize=1', "--waldir=$small/wal" ],
		conf => [ 'max_wal_size = 8MB', 'min_wal_size = 2MB' ])->start;
	my $cdc = sidecar($source, 'postgres', file_store(), flags => [ @flags, '--load.mode=never' ]);
	$source->psql('postgres', 'create table t (id integer primary key, body text)');
	$cdc->ok('init');
	my $run = $cdc->start;
	$source->psql('postgres', insert_sql(1, 10));
	ok($cdc->wait_durable(120), 'rows go through') or diag $run->errors;

	# run holds the WAL for a while, and something else takes the rest
	$run->signal('STOP');
	open my $f, '>', "$small/filler" or die "filler: $!";
	{
		local $SIG{PIPE} = 'IGNORE';
		while (syswrite $f, 'x' x 65536) { }
	}
	close $f;
	my $n = 10;
	ok(poll(
			sub {
				my $w = $source->try_psql('postgres', insert_sql($n + 1, $n + 1000));
				$n += 1000 if $w->{code} == 0;
				return $w->{code} != 0;
			},
			120), 'the server runs out of WAL');
	like($source->log_text, qr/PANIC:.*No space left on device/, 'and dies of it');
	$run->signal('CONT');
	ok(poll(sub { $run->errors =~ /session lost/ }, 120), 'run loses its session') or diag $run->errors;
	poll(sub { !$source->running }, 30) or $source->stop('immediate', 60);
	ok($run->alive, 'run is alive without a server') or diag $run->errors;
	unlink "$small/filler" or die "filler: $!";
	$source->start;
	$source->psql('postgres', insert_sql(1_000_000, 1_000_000));
	ok($cdc->wait_durable(180), 'with space again it goes on') or diag $run->errors;
	my $rows = $source->psql('postgres', 'select count(*) from t');
	cmp_ok($rows, '>', $n, 'all that was committed is in the table');
	is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
	rows_are($cdc, $rows, 'and in the lake, once');
	$source->stop('immediate');
};
done_testing();
