#-------------------------------------------------------------------------
# The units of systemd: what systemd-analyze says of them, and the words that
# "run" speaks to a service manager, heard by a socket in its place.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);

use CdcS3::Test;

my $units = top_folder() . '/deploy/systemd';
my $program = CdcS3::Sidecar::program();

#
# The files
#
my $stage = temp_folder();
my %text = map { m{([^/]+)$} ? ($1 => slurp($_)) : () } glob("$units/*");
for my $name (grep { /\.(?:service|timer)$/ } sort keys %text)
{
	# The verifier wants to see the program.
	(my $unit = $text{$name}) =~ s{/usr/bin/cdc-s3\b}{$program};
	open my $f, '>', "$stage/$name" or die "$stage/$name: $!\n";
	print {$f} $unit;
	close $f or die "$stage/$name: $!\n";
}

# An instance is the plain unit with a name in it, and nothing else.
for my $name (qw(cdc-s3.service cdc-s3-merge.service cdc-s3-merge.timer))
{
	my ($stem, $kind) = split /\./, $name;
	my $settings = sub {
		return join "\n", grep { !/^(?:#|Description=)/ } split /\n/, $_[0];
	};
	(my $instance = $text{"$stem\@.$kind"}) =~ s{/%i\.conf}{/cdc-s3.conf};
	# Instances would listen at one port.
	(my $plain = $text{$name}) =~ s/^Environment=CDC_S3_HTTP_LISTEN=.*\n//m;
	is($settings->($instance), $settings->($plain), "$stem\@.$kind is $name");
}
my ($stop) = $text{'cdc-s3.service'} =~ /^TimeoutStopSec=(\d+)$/m;
my $default = capture([ $program, 'help', '--markdown' ])->{out};
my ($timeout) = $default =~ /`shutdown\.timeout` \| \S+ \| `(\d+)s`/;
cmp_ok($stop, '>', $timeout, 'TimeoutStopSec is longer than shutdown.timeout');
my @variables = map { /^Environment=(\w+)=/mg } values %text;
is_deeply([ grep { index($default, "`$_`") < 0 } @variables ],
	[], 'variables of the units are settings');
like($text{'cdc-s3.service'}, qr/^RestartPreventExitStatus=2 3 6$/m,
	'what a person must mend is not started again');

SKIP:
{
	skip 'missing: systemd-analyze', 8
	  if capture([qw(sh -c), 'command -v systemd-analyze'])->{code};
	for my $name (qw(cdc-s3.service cdc-s3@.service cdc-s3-merge.service
		cdc-s3-merge@.service cdc-s3-merge.timer cdc-s3-merge@.timer))
	{
		my $r = capture([ qw(systemd-analyze verify --man=no), "$stage/$name" ]);
		# Other units of the machine are not ours to judge.
		my $ours = join q{}, grep { /cdc-s3/ } split /^/m, "$r->{out}$r->{err}";
		is($ours, q{}, "$name is as systemd wants it");
	}
	for my $name (qw(cdc-s3.service cdc-s3-merge.service))
	{
		my $r = capture([ qw(systemd-analyze security --offline=true
			--threshold=20), "$stage/$name" ]);
		is($r->{code}, 0, "$name: exposure at most 2.0") or diag $r->{out}, $r->{err};
	}
}

#
# The words
#
my $path = temp_folder() . '/notify';
my $manager = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path)
  or die "$path: $!\n";
my @heard;

# Waits until a message matches; those that came meanwhile are kept.
sub hears
{
	my ($pattern, $seconds) = @_;
	my $select = IO::Select->new($manager);
	return poll(
		sub {
			while ($select->can_read(0))
			{
				$manager->recv(my $message, 4096) // last;
				push @heard, $message;
			}
			return grep { /$pattern/ } @heard;
		},
		$seconds // 120);
}

my $source = new_cluster('source')->start;
$source->psql('postgres', 'create table t (id int primary key)');
my $config = temp_folder() . '/reload.conf';
sub configure
{
	my ($interval) = @_;
	open my $f, '>', $config or die "$config: $!\n";
	print {$f} "[flush]\ninterval = $interval\n";
	close $f or die "$config: $!\n";
	return;
}
configure('1s');
my $cdc = sidecar(
	$source, 'postgres', file_store(),
	flags => [ '--config', $config ],
	env => { NOTIFY_SOCKET => $path, WATCHDOG_USEC => 300_000 });
$cdc->ok('init');
is(scalar @heard, 0, 'other commands say nothing');
my $run = $cdc->start;
ok(hears(qr/^READY=1$/), 'READY') or diag $run->errors;
ok(hears(qr/^STATUS=streaming: durable up to \w+\/\w+, entry \d+$/),
	'STATUS says what it does') or diag explain \@heard;
@heard = ();
ok(hears(qr/^WATCHDOG=1$/), 'WATCHDOG');
$source->psql('postgres', 'insert into t values (1)');
@heard = ();
ok($cdc->wait_durable, 'a row is durable') or diag $run->errors;
ok(hears(qr/^STATUS=.*entry [1-9]/), 'STATUS goes on with the entries');

configure('2s');
@heard = ();
$run->signal('HUP');
ok(hears(qr/^RELOADING=1\nMONOTONIC_USEC=\d+$/), 'RELOADING');
ok(hears(qr/^READY=1$/), 'and READY again');

# The source is away: that is told, and no reason to be ended.
$source->stop('immediate');
ok(hears(qr/^STATUS=trying again: \S/), 'STATUS says what is wrong');
@heard = ();
ok(hears(qr/^WATCHDOG=1$/), 'the watchdog hears of us without a source');
$source->start;
@heard = ();
ok(hears(qr/^STATUS=streaming/), 'the stream is back') or diag $run->errors;

@heard = ();
is($run->stop('TERM', 120), 0, 'TERM ends it') or diag $run->errors;
ok(hears(qr/^STOPPING=1\n.*^EXTEND_TIMEOUT_USEC=20000000$/ms),
	'STOPPING, and how long that may take')
  or diag explain \@heard;

# READY is not said before the configuration stands.
@heard = ();
my $bad = $cdc->call('run', '--output.path=/{no}');
is($bad->{code}, 2, 'a wrong setting ends it');
ok(!hears(qr/READY/, 0), 'without READY');

# A manager that cannot be reached would wait in vain.
my $nobody = capture([ $program, 'run', $cdc->flags ],
	env => { NOTIFY_SOCKET => '/no/such/folder/notify' });
is($nobody->{code}, 2, 'no manager behind NOTIFY_SOCKET');
like($nobody->{err}, qr/NOTIFY_SOCKET/, 'and it says so');

done_testing();
