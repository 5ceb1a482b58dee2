#-------------------------------------------------------------------------
# A folder that is full: run says so, keeps trying, confirms nothing, and goes
# on when there is room.
#
# Needs a small file system of its own, so root and a mount name space, which
# also takes the mount away however this ends.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

if (!$ENV{CDCS3_TEST_UNSHARED})
{
	plan skip_all => 'mounting a small file system needs root' if $> != 0;
	my $r = capture(
		[ 'unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o size=1m x /mnt' ]);
	plan skip_all => "cannot mount: $r->{err}" if $r->{code};
	$ENV{CDCS3_TEST_UNSHARED} = 1;
	exec 'unshare', '-m', $^X, (map { "-I$_" } @INC), $0 or die "unshare: $!";
}

my $small = temp_folder() . '/small';
mkdir $small or die "$small: $!";
my $r = capture([ 'mount', '-t', 'tmpfs', '-o', 'size=8m', 'small', $small ]);
die $r->{err} if $r->{code};
at_end(sub { capture([ 'umount', '-l', $small ]) });

my $source = new_cluster('source')->start;
$source->psql('postgres',
	'create table t (id integer primary key, body text)');
my $cdc = sidecar(
	$source, 'postgres', file_store("$small/lake"),
	flags => [ '--flush.interval=1s', '--output.compression=none' ]);
$cdc->ok('init');
my $run = $cdc->start;
$source->psql('postgres', "insert into t select i, 'first' from generate_series(1, 10) i");
ok($cdc->wait_loaded && $cdc->wait_durable, 'there is room at first')
  or diag $run->errors;

# Nothing is left but crumbs.
open my $f, '>', "$small/filler" or die "filler: $!";
{
	local $SIG{PIPE} = 'IGNORE';
	while (syswrite $f, 'x' x 4096) { }
}
close $f;
my $confirmed =
  "select confirmed_flush_lsn from pg_replication_slots where slot_name = 'cdc_s3'";
my $lsn = $source->psql('postgres',
		"insert into t select i, repeat('y', 200) from generate_series(11, 5000) i; "
	  . 'select pg_current_wal_lsn()');
ok(poll(sub { $run->errors =~ /no space/i || !$run->alive }, 60),
	'run meets the full disk');
like($run->errors, qr/no space left/i, 'and says so');
ok($run->alive, 'run is alive') or diag $run->errors;
is($source->psql('postgres', "select '$lsn' > ($confirmed)"),
	't', 'nothing is confirmed that is not durable');

unlink "$small/filler" or die "filler: $!";
ok($run->alive && $cdc->wait_durable(120), 'with room again it goes on')
  or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my %ids = map { $_ => 1 } $cdc->replay =~ /"id":(\d+)/g;
is(scalar keys %ids, 5000, 'nothing is lost');

done_testing();
