#-------------------------------------------------------------------------
# CdcS3::Proc
#	Processes and temporary folders of a test, the demo or the benchmark, and
#	their end: whatever was started here is gone when the program is, also when
#	it is interrupted or killed (children ask the kernel for a signal when
#	their parent dies).
#
#	When called as root, servers run as an unprivileged user, since PostgreSQL
#	refuses to run as root.
#-------------------------------------------------------------------------
package CdcS3::Proc;
use strict;
use warnings;

use Errno qw(EINTR);
use Exporter qw(import);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use POSIX qw(:sys_wait_h setpgid);
use Time::HiRes qw(time sleep);

our @EXPORT_OK = qw(capture spawn as_server_user server_user temp_folder
  give_to_server_user poll slurp free_port at_end);

my $owner = $$;        # cleaning up is not for forked children
my %running;           # pid => CdcS3::Proc
my @folders;
my @at_end;

# Settings and servers of the caller's shell are none of a test's business.
delete @ENV{ grep { /^(?:PG(?!_CONFIG)|CDC_S3_|AWS_)/ } keys %ENV };
$ENV{LC_ALL} = 'C';

$SIG{INT} = sub { exit 130 };
$SIG{TERM} = sub { exit 143 };
$SIG{HUP} = sub { exit 129 };
$SIG{PIPE} = 'IGNORE';

# The user that servers run as, or undef where we are no root.
my $server_user;

sub server_user
{
	return if $> != 0;
	($server_user) = grep { defined getpwnam $_ } qw(postgres nobody)
	  unless $server_user;
	die "neither user postgres nor nobody exists\n" unless $server_user;
	return $server_user;
}

# The words before a command that make it run as that user.
sub as_server_user
{
	my $user = server_user() or return 'setpriv';
	my $gid = (getpwnam $user)[3];
	return ('setpriv', "--reuid=$user", "--regid=$gid", '--clear-groups');
}

sub give_to_server_user
{
	my @paths = @_;
	my $user = server_user() or return;
	my ($uid, $gid) = (getpwnam $user)[ 2, 3 ];
	chown($uid, $gid, @paths) == @paths
	  or die "could not chown @paths: $!\n";
	return;
}

# A folder that everybody may pass through and that END removes.  Short, since
# the path of a Unix socket has about a hundred bytes.
sub temp_folder
{
	my $base = $ENV{TMPDIR} // '/tmp';
	$base = '/tmp' if length $base > 60 || !-d $base;
	my $dir = tempdir('cdc_s3.XXXXXX', DIR => $base);
	chmod 0755, $dir or die "could not chmod $dir: $!\n";
	push @folders, $dir;
	return $dir;
}

# Runs sub at the end of the program, newest first.
sub at_end
{
	push @at_end, $_[0];
	return;
}

sub slurp
{
	my ($path) = @_;
	open my $f, '<:raw', $path or die "could not open $path: $!\n";
	local $/ = undef;
	return <$f> // '';
}

# A TCP port of 127.0.0.1 that is free now.
sub free_port
{
	require IO::Socket::INET;
	my $s = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1',
		Proto => 'tcp',
		Listen => 1) or die "no free port: $!\n";
	return $s->sockport;
}

# Calls sub until it returns true; false after so many seconds.
sub poll
{
	my ($sub, $seconds) = @_;
	my $deadline = time + ($seconds // 60);
	while (1)
	{
		my $r = $sub->();
		return $r if $r;
		return if time > $deadline;
		sleep 0.05;
	}
}

# Forks and executes; only the child's side returns never.
sub _fork
{
	my ($o) = @_;
	my $pid = fork // die "could not fork: $!\n";
	return $pid if $pid;

	$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
	setpgid(0, 0);
	my $ok =
		 chdir($o->{cwd} // '/')
	  && open(STDIN, '<', $o->{in_path} // '/dev/null')
	  && open(STDOUT, '>>', $o->{out_path})
	  && open(STDERR, '>>', $o->{err_path});
	if ($ok)
	{
		%ENV = (%ENV, %{ $o->{env} }) if $o->{env};
		my @user = $o->{server} ? as_server_user() : ('setpriv');
		no warnings 'exec';
		exec @user, "--pdeathsig=$o->{pdeathsig}", @{ $o->{cmd} };
	}
	print STDERR "could not execute $o->{cmd}[0]: $!\n";
	POSIX::_exit(127);
}

# Starts a command in the background.
#	cmd => [...], log => path of stdout and stderr (or out_path, err_path),
#	server => 1 to run as the server user, pdeathsig => signal, env => {...}
sub spawn
{
	my (%o) = @_;
	$o{out_path} //= $o{log};
	$o{err_path} //= $o{log};
	$o{pdeathsig} //= 'KILL';
	my $self = bless {%o}, 'CdcS3::Proc';
	$self->{pid} = _fork($self);
	$self->{started} = time;
	$running{ $self->{pid} } = $self;
	return $self;
}

sub pid { return $_[0]{pid} }

sub signal
{
	my ($self, $signal) = @_;
	return $self->{pid} ? kill($signal, $self->{pid}) : 0;
}

# True while it runs.
sub alive
{
	my ($self) = @_;
	return 0 unless $self->{pid};
	return 1 unless waitpid($self->{pid}, WNOHANG) == $self->{pid};
	$self->_ended($?);
	return 0;
}

# Waits for its end; exit code, or minus the signal, or undef on timeout.
sub wait
{
	my ($self, $seconds) = @_;
	poll(sub { !$self->alive }, $seconds // 60) or return;
	return $self->{code};
}

sub _ended
{
	my ($self, $status) = @_;
	delete $running{ $self->{pid} };
	$self->{last_pid} = delete $self->{pid};
	$self->{ended} = time;
	$self->{code} = $status & 127 ? -($status & 127) : $status >> 8;
	return;
}

# Signals and waits; for kill -9 too.  Returns as wait() does.
sub stop
{
	my ($self, $signal, $seconds) = @_;
	return $self->{code} unless $self->alive;
	$self->signal($signal // 'TERM');
	return $self->wait($seconds);
}

# What it wrote so far.
sub output { return slurp($_[0]{out_path}) }
# "" until it has begun.
sub errors { return -e $_[0]{err_path} ? slurp($_[0]{err_path}) : q{} }

# Runs a command to its end.  Returns { code, out, err, seconds }.
#	capture([cmd], in => text, timeout => seconds, env => {...}, server => 1)
sub capture
{
	my ($cmd, %o) = @_;
	my $dir = tempdir('cdc_s3.XXXXXX', TMPDIR => 1);
	if (defined $o{in})
	{
		open my $f, '>:raw', "$dir/in" or die "$dir/in: $!\n";
		print {$f} $o{in};
		close $f or die "$dir/in: $!\n";
		$o{in_path} = "$dir/in";
	}
	my $p = { %o, cmd => $cmd, pdeathsig => 'KILL' };
	@$p{qw(out_path err_path)} = ("$dir/out", "$dir/err");

	# Files belong to us also where the command runs as somebody else: they
	# are opened before the change.
	chmod 0755, $dir;
	my $timed_out = 0;
	my $start = time;
	my $pid = _fork($p);
	{
		local $SIG{ALRM} = sub { $timed_out = 1; kill 'KILL', $pid; };
		alarm($o{timeout} // 300);
		1 while waitpid($pid, 0) == -1 && $! == EINTR;
		alarm 0;
	}
	my $status = $?;
	my $r = {
		code => $status & 127 ? -($status & 127) : $status >> 8,
		out => -e "$dir/out" ? slurp("$dir/out") : '',
		err => -e "$dir/err" ? slurp("$dir/err") : '',
		seconds => time - $start,
		timed_out => $timed_out,
	};
	remove_tree($dir);
	return $r;
}

END
{
	if ($$ == $owner)
	{
		my $status = $?;
		local $SIG{INT} = 'IGNORE';
		local $SIG{TERM} = 'IGNORE';
		eval { $_->(); 1 } or warn $@ for reverse @at_end;
		# Servers are told "immediate"; whoever does not listen is killed.
		my @left = values %running;
		$_->signal($_->{end_signal} // 'KILL') for @left;
		$_->wait(10) // $_->stop('KILL', 10) for @left;
		if ($ENV{CDCS3_TEST_KEEP})
		{
			print STDERR "# kept: @folders\n" if @folders;
		}
		else
		{
			chdir '/';
			remove_tree(@folders, { safe => 0 }) if @folders;
		}
		$? = $status;
	}
}

1;
