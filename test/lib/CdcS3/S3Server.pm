#-------------------------------------------------------------------------
# CdcS3::S3Server
#	S3 servers for the tests: one function starts each, on a free port of
#	127.0.0.1, with random credentials; they end with the program.
#
#	my $s3 = start_versitygw(folder => '/tmp/x', bucket => 'lake');
#	$s3->endpoint, $s3->bucket, $s3->folder, $s3->env, $s3->kill9, …
#
#	Options: folder, bucket ("lake"), port, cert and key (files, for TLS; the
#	certificate is for 127.0.0.1 and localhost), domain (virtual-host style).
#	A server that is not installed: undef, and why() says what is missing, in
#	words that count as a failure where all is run: "make deps" brings each.
#	The class methods available() and start() mean versitygw.
#-------------------------------------------------------------------------
package CdcS3::S3Server;
use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use HTTP::Tiny;
use IO::Socket::INET;

use CdcS3::Proc qw(capture spawn poll slurp temp_folder);

our @EXPORT_OK = qw(start_versitygw start_s3proxy start_moto start_s3rver
  make_certificate installed);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my $why = '';
my $count = 0;

sub why { return $why }

sub missing
{
	my ($what) = @_;
	$why = qq(missing: $what; "make deps" brings it);
	return;
}

# Where test/deps-s3.sh put the program (or jar) of a server; undef if nowhere.
sub installed
{
	my ($name) = @_;
	my $r = capture([ "$top/test/deps-s3.sh", '--path', $name ]);
	die $r->{err} if $r->{code};
	chomp(my $path = $r->{out});
	return -e $path ? $path : missing($name);
}

# Not CdcS3::Proc::free_port: that one is from the range that outgoing
# connections use, and a server that is down for a while must get its own
# port back.
sub free_port
{
	for (1 .. 200)
	{
		my $port = 10000 + int(rand(20000));
		my $s = IO::Socket::INET->new(
			LocalAddr => '127.0.0.1',
			LocalPort => $port,
			Proto => 'tcp',
			Listen => 1) or next;
		return $port;
	}
	die "no free port found\n";
}

sub random_name
{
	my ($length) = @_;
	my @set = ('A' .. 'Z', 'a' .. 'z', '0' .. '9');
	open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
	my $name = '';
	while (length $name < $length)
	{
		read $random, my $byte, 1;
		$name .= $set[ ord $byte ] if ord $byte < @set;
	}
	return $name;
}

# What all of them have in common, before the command is known.
sub prepare
{
	my ($name, %o) = @_;
	my $self = bless { name => $name, bucket => 'lake', %o }, __PACKAGE__;
	$count++;
	$self->{folder} //= temp_folder() . "/s3-$count";
	$self->{port} //= free_port();
	$self->{access_key} = random_name(20);
	$self->{secret_key} = random_name(40);
	$self->{log} = "$self->{folder}.log";
	$self->{scheme} = $o{cert} ? 'https' : 'http';
	make_path($self->{folder});
	return $self;
}

sub listens
{
	my ($self) = @_;
	return IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $self->{port},
		Proto => 'tcp',
		Timeout => 1);
}

sub launch
{
	my ($self) = @_;
	$self->{proc} = spawn(
		cmd => $self->{cmd},
		log => $self->{log},
		env => $self->{cmd_env} // {},
		end_signal => 'TERM');
	poll(sub { $self->listens || !$self->{proc}->alive }, 60);
	die "$self->{name} did not start:\n" . slurp($self->{log})
	  unless $self->{proc}->alive && $self->listens;
	return $self;
}

sub endpoint
{
	my ($self) = @_;
	my $host = $self->{domain} // '127.0.0.1';
	return "$self->{scheme}://$host:$self->{port}";
}

sub name { return $_[0]{name} }
sub bucket { return $_[0]{bucket} }
sub folder { return $_[0]{folder} }
sub port { return $_[0]{port} }

# What a client needs, as environment variables.
sub env
{
	my ($self) = @_;
	return {
		AWS_ACCESS_KEY_ID => $self->{access_key},
		AWS_SECRET_ACCESS_KEY => $self->{secret_key},
		AWS_REGION => 'us-east-1',
		AWS_EC2_METADATA_DISABLED => 'true',
		$self->{cert} ? (AWS_CA_BUNDLE => $self->{cert}) : (),
	};
}

sub stop { $_[0]{proc}->stop('TERM', 10) // $_[0]{proc}->stop('KILL', 10) }
sub kill9 { return $_[0]{proc}->stop('KILL', 10) }

# The same server again: same port, same data.
sub restart
{
	my ($self) = @_;
	$self->stop if $self->{proc}->alive;
	return $self->launch;
}

# A folder is a bucket, for those that keep objects as files; moto takes any
# request as it comes.
sub create_bucket
{
	my ($self, $bucket) = @_;
	if ($self->{name} ne 'moto')
	{
		make_path("$self->{folder}/$bucket");
		return;
	}
	my $r = HTTP::Tiny->new(verify_SSL => 0)
	  ->put("$self->{scheme}://127.0.0.1:$self->{port}/$bucket");
	die "moto made no bucket: $r->{status} $r->{content}\n"
	  unless $r->{success};
	return;
}

# A certificate for 127.0.0.1 that signs itself: (cert, key).
sub make_certificate
{
	my ($folder) = @_;
	my ($cert, $key) = ("$folder/cert.pem", "$folder/key.pem");
	my $r = capture(
		[
			qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj),
			'/CN=localhost', '-addext',
			'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:*.s3.localhost',
			'-keyout', $key, '-out', $cert
		]);
	die "openssl: $r->{err}" if $r->{code};
	return ($cert, $key);
}

sub available { return installed('versitygw') }

sub start
{
	my ($class, %o) = @_;
	return start_versitygw(%o) // die "$why\n";
}

# versitygw notes down what it knows of a file in extended attributes.
sub has_attributes
{
	my ($folder) = @_;
	my $code = <<'EOF';
import os, sys
try:
    os.setxattr(sys.argv[1], b"user.cdc_s3", b"1")
except OSError:
    sys.exit(1)
EOF
	return capture([ 'python3', '-c', $code, $folder ])->{code} == 0;
}

sub start_versitygw
{
	my (%o) = @_;
	my $program = installed('versitygw') or return;
	my $self = prepare('versitygw', %o);
	$self->create_bucket($self->{bucket});
	my @notes;
	if (!has_attributes($self->{folder}))
	{
		make_path("$self->{folder}.notes");
		@notes = ('--sidecar', "$self->{folder}.notes");
	}
	$self->{cmd_env} = {
		ROOT_ACCESS_KEY => $self->{access_key},
		ROOT_SECRET_KEY => $self->{secret_key},
	};
	$self->{cmd} = [
		$program, '--port', "127.0.0.1:$self->{port}",
		'--keep-alive', '--quiet', '--virtual-domain',
		$o{domain} // 's3.localhost',
		$o{cert} ? ('--cert', $o{cert}, '--key', $o{key}) : (),
		'posix', @notes, $self->{folder}
	];
	return $self->launch;
}

sub start_s3proxy
{
	my (%o) = @_;
	my $jar = installed('s3proxy') or return;
	return missing('java') unless grep { -x "$_/java" } split /:/, $ENV{PATH};
	my $self = prepare('s3proxy', %o);
	$self->create_bucket($self->{bucket});
	my $config = "$self->{folder}.properties";
	open my $f, '>', $config or die "$config: $!\n";
	print $f <<"EOF";
s3proxy.authorization=aws-v2-or-v4
s3proxy.endpoint=http://127.0.0.1:$self->{port}
s3proxy.identity=$self->{access_key}
s3proxy.credential=$self->{secret_key}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir=$self->{folder}
jclouds.identity=x
jclouds.credential=x
EOF
	print $f "s3proxy.virtual-host=$o{domain}\n" if $o{domain};
	close $f or die "$config: $!\n";
	$self->{cmd_env} = { LC_ALL => 'C.UTF-8' };
	$self->{cmd} = [ 'java', '-jar', $jar, '--properties', $config ];
	return $self->launch;
}

sub start_moto
{
	my (%o) = @_;
	my $program = installed('moto') or return;
	my $self = prepare('moto', %o);
	$self->{cmd} = [
		$program, '-H', '127.0.0.1', '-p', $self->{port},
		$o{cert} ? ('-c', $o{cert}, '-k', $o{key}) : ()
	];
	$self->launch;
	$self->create_bucket($self->{bucket});
	return $self;
}

sub start_s3rver
{
	my (%o) = @_;
	my $program = installed('s3rver') or return;
	my $self = prepare('s3rver', %o);
	# It knows one pair of keys only.
	$self->{access_key} = $self->{secret_key} = 'S3RVER';
	$self->{cmd} = [
		$program, '-a', '127.0.0.1', '-p', $self->{port},
		'-d', $self->{folder}, '-s', '--configure-bucket', $self->{bucket}
	];
	return $self->launch;
}

1;
