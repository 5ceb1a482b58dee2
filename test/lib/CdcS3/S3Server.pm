# S3Server.pm
#	  Starts S3 servers for the tests, each with one function, on a free port
#	  of 127.0.0.1, with random credentials, and stops them at the end.
#
#	  my $s3 = start_versitygw("$dir/s3", bucket => 'lake');
#	  local %ENV = (%ENV, %{ $s3->{env} });
#	  ... --store.url=s3://lake/prefix --store.endpoint=$s3->{endpoint}
#	  stop_server($s3);
#
# A server is a hash: name, endpoint, port, bucket, access_key, secret_key,
# env (what a client needs, as environment variables), pid, log (its output).
# Options: bucket (default "lake"), port, cert and key (TLS), domain (for
# virtual-host style; the bucket is then at <bucket>.<domain>).
# A server that is not installed: the function returns undef, and
# $CdcS3::S3Server::why says what is missing.
package CdcS3::S3Server;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Path qw(make_path);
use HTTP::Tiny;
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(start_versitygw start_s3proxy start_moto start_s3rver
  stop_server kill_server restart_server free_port);
our $why = '';

my %running;    # pid => server

sub cache_dir
{
	return ($ENV{XDG_CACHE_HOME} || "$ENV{HOME}/.cache") . '/cdc_s3';
}

# A port that nobody listens on, below the range that outgoing connections
# take theirs from.
sub free_port
{
	for (1 .. 200)
	{
		my $port = 10000 + int(rand(20000));
		my $socket = IO::Socket::INET->new(
			LocalAddr => '127.0.0.1',
			LocalPort => $port,
			Listen => 1,
			Proto => 'tcp');
		next unless $socket;
		close $socket;
		return $port;
	}
	die "no free port found\n";
}

sub random_name
{
	my ($length) = @_;
	my @set = ('A' .. 'Z', 'a' .. 'z', '0' .. '9');
	my $name = '';

	open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
	while (length $name < $length)
	{
		read $random, my $byte, 1;
		$name .= $set[ ord $byte ] if ord $byte < @set;
	}
	close $random;
	return $name;
}

# Starts the program in its own process, its output in a file.
sub launch
{
	my ($server) = @_;

	my $pid = fork;
	die "fork: $!\n" unless defined $pid;
	if ($pid == 0)
	{
		# Not in the group of the terminal: an interrupt ends the test, and
		# the test ends the server.
		setpgrp;
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', $server->{log} or POSIX::_exit(127);
		open STDERR, '>&', \*STDOUT;
		@ENV{ keys %{ $server->{program_env} } } =
		  values %{ $server->{program_env} };
		exec { $server->{argv}[0] } @{ $server->{argv} }
		  or POSIX::_exit(127);
	}
	$server->{pid} = $pid;
	$running{$pid} = $server;

	my $limit = time + ($server->{patience} || 30);
	while (time < $limit)
	{
		my $socket = IO::Socket::INET->new(
			PeerAddr => '127.0.0.1',
			PeerPort => $server->{port},
			Proto => 'tcp',
			Timeout => 1);
		return $server if $socket;
		if (waitpid($pid, WNOHANG) == $pid)
		{
			delete $running{$pid};
			last;
		}
		sleep 0.02;
	}
	stop_server($server);
	open my $log, '<', $server->{log};
	my @lines = $log ? <$log> : ();
	die "$server->{name} did not start:\n@lines\n";
}

sub base
{
	my ($name, $dir, %opt) = @_;
	my $port = $opt{port} || free_port();
	my $scheme = $opt{cert} ? 'https' : 'http';
	my $host = $opt{domain} || '127.0.0.1';
	my $access = random_name(20);
	my $secret = random_name(40);

	make_path($dir);
	return {
		name => $name,
		dir => $dir,
		port => $port,
		endpoint => "$scheme://$host:$port",
		bucket => $opt{bucket} || 'lake',
		access_key => $access,
		secret_key => $secret,
		log => "$dir.log",
		env => {
			AWS_ACCESS_KEY_ID => $access,
			AWS_SECRET_ACCESS_KEY => $secret,
			AWS_REGION => 'us-east-1',
			AWS_EC2_METADATA_DISABLED => 'true',
		},
		program_env => {},
	};
}

# Can files in this folder carry what versitygw notes down about them?
sub has_xattr
{
	my ($dir) = @_;

	return system('python3', '-c',
		'import os,sys
try: os.setxattr(sys.argv[1], b"user.cdc_s3", b"1")
except OSError: sys.exit(1)', $dir) == 0;
}

sub start_versitygw
{
	my ($dir, %opt) = @_;
	my $server = base('versitygw', $dir, %opt);
	my $deps = dirname(__FILE__) . '/../../deps-s3.sh';

	my $program = `$deps`;
	if ($? != 0)
	{
		$why = 'versitygw could not be installed';
		return undef;
	}
	chomp $program;
	make_path("$dir/$server->{bucket}");
	my @meta;
	if (!has_xattr($dir))
	{
		make_path("$dir.meta");
		@meta = ('--sidecar', "$dir.meta");
	}
	my @tls = $opt{cert} ? ('--cert', $opt{cert}, '--key', $opt{key}) : ();
	$server->{program_env} = {
		ROOT_ACCESS_KEY => $server->{access_key},
		ROOT_SECRET_KEY => $server->{secret_key},
	};
	$server->{argv} = [
		$program, '--port', "127.0.0.1:$server->{port}",
		'--keep-alive', '--quiet', '--virtual-domain',
		$opt{domain} || 's3.localhost',
		@tls, 'posix', @meta, $dir
	];
	return launch($server);
}

sub start_s3proxy
{
	my ($dir, %opt) = @_;
	my $server = base('s3proxy', $dir, %opt);
	my $version = '4.1.0';
	my ($jar) = grep { -e } (
		cache_dir() . "/s3proxy-$version-jar-with-dependencies.jar",
		"$ENV{HOME}/.m2/repository/org/gaul/s3proxy/$version/"
		  . "s3proxy-$version-jar-with-dependencies.jar");

	if (!$jar)
	{
		$why = "s3proxy $version is not in ~/.m2 or the cache";
		return undef;
	}
	make_path("$dir/$server->{bucket}");
	my $config = "$dir.properties";
	open my $file, '>', $config or die "$config: $!\n";
	print $file <<"EOF";
s3proxy.authorization=aws-v2-or-v4
s3proxy.endpoint=http://127.0.0.1:$server->{port}
s3proxy.identity=$server->{access_key}
s3proxy.credential=$server->{secret_key}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir=$dir
jclouds.identity=x
jclouds.credential=x
EOF
	print $file "s3proxy.virtual-host=$opt{domain}\n" if $opt{domain};
	close $file;
	$server->{patience} = 60;
	$server->{program_env} = { LC_ALL => 'C.UTF-8' };
	$server->{argv} = [ 'java', '-jar', $jar, '--properties', $config ];
	return launch($server);
}

sub start_moto
{
	my ($dir, %opt) = @_;
	my $server = base('moto', $dir, %opt);
	my $program = cache_dir() . '/moto/bin/moto_server';

	if (!-x $program)
	{
		$why = "moto is not in $program";
		return undef;
	}
	my @tls = $opt{cert} ? ('-c', $opt{cert}, '-k', $opt{key}) : ();
	$server->{patience} = 60;
	$server->{argv} =
	  [ $program, '-H', '127.0.0.1', '-p', $server->{port}, @tls ];
	launch($server);
	# Without accounts it takes any request as it comes.
	my $scheme = $opt{cert} ? 'https' : 'http';
	my $r = HTTP::Tiny->new(verify_SSL => 0)
	  ->put("$scheme://127.0.0.1:$server->{port}/$server->{bucket}");
	die "moto made no bucket: $r->{status}\n" unless $r->{success};
	return $server;
}

sub start_s3rver
{
	my ($dir, %opt) = @_;
	my $server = base('s3rver', $dir, %opt);
	my $program = cache_dir() . '/s3rver/node_modules/.bin/s3rver';

	if (!-x $program)
	{
		$why = "s3rver is not in $program";
		return undef;
	}
	# It knows one pair of keys only.
	$server->{access_key} = $server->{env}{AWS_ACCESS_KEY_ID} = 'S3RVER';
	$server->{secret_key} = $server->{env}{AWS_SECRET_ACCESS_KEY} = 'S3RVER';
	$server->{argv} = [
		$program, '-a', '127.0.0.1', '-p', $server->{port},
		'-d', $dir, '-s', '--configure-bucket', $server->{bucket}
	];
	return launch($server);
}

sub finish
{
	my ($server, $signal) = @_;
	my $pid = delete $server->{pid} or return;

	my $status = $?;
	kill $signal, $pid;
	my $limit = time + 10;
	while (waitpid($pid, WNOHANG) == 0)
	{
		kill 'KILL', $pid if time > $limit;
		sleep 0.02;
	}
	delete $running{$pid};
	$? = $status;
	return;
}

sub stop_server
{
	my ($server) = @_;
	return finish($server, 'TERM');
}

# As a crash ends it.
sub kill_server
{
	my ($server) = @_;
	return finish($server, 'KILL');
}

# Starts a server that was stopped again: same port, same data.
sub restart_server
{
	my ($server) = @_;
	stop_server($server);
	return launch($server);
}

my $owner = $$;

END
{
	if ($$ == $owner)
	{
		finish($_, 'TERM') for values %running;
	}
}

1;
