#-------------------------------------------------------------------------
# CdcS3::Middlebox
#	What stands between a client and a server on the network and may lose
#	its mind: it forwards TCP connections to a server, and on request it
#	forgets those that are open, which still acknowledges what is sent on
#	them, or takes new ones and says nothing.
#-------------------------------------------------------------------------
package CdcS3::Middlebox;
use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();

use CdcS3::Proc qw(at_end poll);

# to => path of a Unix socket, or port on 127.0.0.1
sub start
{
	my ($class, %o) = @_;
	my $listen = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1',
		Proto => 'tcp',
		Listen => 64) or die "listen: $!\n";
	pipe my $out, my $in or die "pipe: $!\n";
	my $self = bless { port => $listen->sockport, told => $out }, $class;
	my $parent = $$;
	my $pid = fork // die "fork: $!\n";
	if ($pid == 0)
	{
		$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
		$SIG{PIPE} = 'IGNORE';
		close $out;
		$in->autoflush(1);
		eval { _serve($listen, $o{to}, $parent, $in); 1 } or print STDERR $@;
		POSIX::_exit(0);
	}
	close $listen;
	close $in;
	$self->{pid} = $pid;
	<$out>;    # it can be told things from now on
	at_end(sub { $self->stop });
	return $self;
}

sub port { return $_[0]{port} }

# Connections that are open are forgotten; new ones work.
sub forget { return _tell($_[0], 'USR1') }

# From now on new connections are taken, and nothing is forwarded; again: they
# work.
sub mute { return _tell($_[0], 'USR2') }

sub _tell
{
	my ($self, $signal) = @_;
	kill $signal, $self->{pid};
	return readline $self->{told};    # it has been heard
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;
	my $status = $?;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	$? = $status;
	return;
}

sub _connect
{
	my ($to) = @_;
	return $to =~ m{/}
	  ? IO::Socket::UNIX->new(Peer => $to)
	  : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $to);
}

sub _serve
{
	my ($listen, $to, $parent, $told) = @_;
	my ($forget, $mute, $muted) = (0, 0, 0);
	my %peer;    # socket => the other one, or none
	local $SIG{USR1} = sub { $forget = 1 };
	local $SIG{USR2} = sub { $mute = 1 };
	print {$told} "ready\n";
	my $select = IO::Select->new($listen);
	while (getppid == $parent)
	{
		my @ready = $select->can_read(0.2);
		if ($forget)
		{
			$forget = 0;
			$_->[1] = undef for values %peer;
			print {$told} "forgotten\n";
		}
		if ($mute)
		{
			$mute = 0;
			$muted = !$muted;
			print {$told} "muted\n";
		}
		for my $s (@ready)
		{
			if ($s == $listen)
			{
				my $client = $listen->accept or next;
				my $server = $muted ? undef : _connect($to);
				$peer{$client} = [ $client, $server ];
				$select->add($client);
				next unless $server;
				$peer{$server} = [ $server, $client ];
				$select->add($server);
				next;
			}
			my $p = $peer{$s} or next;
			my $n = sysread $s, my $data, 65_536;
			if (!$n)
			{
				$select->remove($s);
				shutdown $p->[1], 1 if $p->[1];
				delete $peer{$s};
				next;
			}
			_write($p->[1], $data) if $p->[1];
		}
	}
	return;
}

sub _write
{
	my ($s, $data) = @_;
	my $at = 0;
	while ($at < length $data)
	{
		my $n = syswrite $s, $data, length($data) - $at, $at;
		last unless defined $n;
		$at += $n;
	}
	return;
}

1;
