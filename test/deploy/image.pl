#-------------------------------------------------------------------------
# The images that test/deploy/image.sh built: what they say of themselves, and
# cdc-s3 as PID 1 of a container that is read-only, has no shell, and no root.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use JSON::PP;

use CdcS3::Test;

my $work = $ENV{CDCS3_TEST_IMAGES} or die "run test/deploy/image.sh\n";
my $root = readlink "$work/cdc-s3";
my $extension = readlink "$work/cdc-s3-extension";

#
# What they say
#
sub described
{
	my ($name) = @_;
	return JSON::PP->new->decode(slurp("$work/$name.json"))->{Docker}{config};
}
my $config = described('cdc-s3');
is_deeply($config->{Entrypoint}, ['/usr/bin/cdc-s3'], 'the program is the entry point');
is_deeply($config->{Cmd}, ['run'], 'which runs');
is($config->{User}, '65532:65532', 'not as root');
is($config->{StopSignal}, 'SIGTERM', 'and is stopped by TERM');
is_deeply($config->{Healthcheck}{Test}, [ 'CMD', '/usr/bin/cdc-s3', 'ping' ],
	'its health is asked of the program');
is(described('cdc-s3-extension')->{User}, '65532:65532', 'nor is the extension');
chomp(my @files = sort split /^/,
	capture([ 'sh', '-c', "cd $extension && find . -type f" ])->{out});
is_deeply(
	\@files,
	[qw(./lib/cdc_s3.so ./licenses/cdc_s3/LICENSE
		./share/extension/cdc_s3--1.0.sql ./share/extension/cdc_s3.control)],
	'the extension is four files');
my @needed = capture([ 'readelf', '-d', "$extension/lib/cdc_s3.so" ])->{out} =~
  /\(NEEDED\).*\[(.*)\]/g;
is_deeply(\@needed, ['libc.so.6'], 'and needs the C library only');
my $set = capture([ 'find', $root, '-xdev', '-path', "$root/tmp", '-prune', '-o',
		'-type', 'f', '-newer', "$root/usr/bin/cdc-s3", '-name', '*.o', '-print' ]);
is($set->{out}, q{}, 'nothing of the build is left');
ok(!-e "$root/usr/bin/gcc", 'nor its compiler');

#
# What they do.  A server loads the plugin from the image.
#
my $source = new_cluster('source', tcp => 1,
	conf => [ "dynamic_library_path = '$work/plugin:\$libdir'" ]);
mkdir "$work/plugin";
system('cp', "$extension/lib/cdc_s3.so", "$work/plugin") == 0 or die "cp: $?\n";
system('chmod', '-R', 'a+rX', "$work/plugin") == 0 or die "chmod: $?\n";
$source->start;
$source->psql('postgres', 'create table t (id int primary key, v text)');
$source->psql('postgres', q{insert into t select i, 'v' || i from generate_series(1, 50) i});

my $lake = temp_folder() . '/lake';
mkdir $lake;
chown 65532, 65532, $lake;

# A container by hand: PID 1 of a name space of processes, /mnt for the lake,
# all else as the image has it and read-only, and no shell in it.
my $script = <<'SH';
set -eu
root=$1 lake=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --bind "$lake" "$root/mnt"
mount --bind /dev/null "$root/usr/bin/dash"
mount --bind /dev/null "$root/usr/bin/bash"
mount -t tmpfs dev "$root/dev"
: >"$root/dev/null"; mount --bind /dev/null "$root/dev/null"
: >"$root/dev/urandom"; mount --bind /dev/urandom "$root/dev/urandom"
exec chroot --userspec=65532:65532 "$root" "$@"
SH
my @container = (
	qw(unshare --mount --pid --ipc --fork --kill-child), 'sh', '-c', $script,
	'sh', $root, $lake);
my $entry = $config->{Entrypoint}[0];
my %env = (
	CDC_S3_SOURCE_CONNINFO => $source->conninfo('postgres', tcp => 1),
	CDC_S3_TARGET_CONNINFO => $source->conninfo('copy', tcp => 1),
	CDC_S3_STORE_URL => 'file:///mnt/lake',
	CDC_S3_OUTPUT_TIMEZONE => 'Europe/Berlin');
$source->psql('postgres', 'create database copy');

sub in_image { return capture([ @container, $entry, @_ ], env => \%env) }

like(in_image('version')->{out}, qr/^cdc-s3 \d/, 'the program runs in its image');
my $checked = in_image('check');
is($checked->{code}, 0, 'check finds nothing') or diag $checked->{out}, $checked->{err};
my $made = in_image('init');
is($made->{code}, 0, 'init') or diag $made->{err};
my $run = spawn(
	cmd => [ @container, $entry, 'run' ],
	out_path => temp_folder() . '/out',
	err_path => temp_folder() . '/err',
	env => \%env,
	pdeathsig => 'KILL');

# PID 1 of the container, as we see it.
my $pid = poll(
	sub {
		my ($child) = split ' ',
		  slurp('/proc/' . $run->pid . '/task/' . $run->pid . '/children');
		return unless $child && slurp("/proc/$child/comm") =~ /^cdc-s3$/;
		return $child;
	},
	120);
ok($pid, 'it is PID 1 of its container');
my $status = slurp("/proc/$pid/status");
like($status, qr/^NSpid:\s+\d+\s+1$/m, 'by its own word');
like($status, qr/^Uid:\s+65532\s/m, 'as user 65532');

sub merged
{
	my ($want) = @_;
	my $last;
	return 1
	  if poll(
		sub {
			$last = in_image('merge', '--merge.until=now');
			return if $last->{code};
			my $sum = q{select md5(string_agg(t::text, ',' order by id)) from t};
			my ($code, $copy) = eval { (0, $source->psql('copy', $sum)) };
			return defined $copy && $copy eq $source->psql('postgres', $sum);
		},
		180);
	diag $last->{err}, $run->errors;
	return;
}
ok(merged(), 'rows that were there arrive');
$source->psql('postgres', q{update t set v = 'x' where id < 9; delete from t where id > 40});
ok(merged(), 'and changes');
ok(kill('TERM', $pid), 'TERM to PID 1');
is($run->wait(120), 0, 'ends it with 0') or diag $run->errors;

done_testing();
