#-------------------------------------------------------------------------
# check and the mend that helps: a file with secrets that others can read, http
# to a port that speaks TLS and the other way round, and a certificate that is
# for another name.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Proc qw(capture free_port);
use CdcS3::Test;

my $source = new_cluster('source', tcp => 1)->start;
my $folder = temp_folder();
my $s3 = CdcS3::FakeS3->start;

sub check
{
	my ($store, @args) = @_;
	my $cdc = sidecar($source, 'postgres', $store);
	return $cdc->call('check', '--no-race', @args);
}

# The file
my $file = "$folder/cdc-s3.conf";

sub write_file
{
	my ($text, $mode) = @_;
	open my $f, '>', $file or die "$file: $!";
	print {$f} $text;
	close $f or die;
	chmod $mode, $file or die;
	return;
}
my $secret = "[source]\nconninfo = host=$source->{socket} dbname=postgres user=postgres password=HUSH\n";
for my $case (
	[ $secret, 0644, 1, 'a password, and all may read it' ],
	[ $secret, 0640, 0, 'a password, for a group' ],
	[ $secret, 0600, 0, 'a password, for the owner' ],
	[ "[log]\nlevel = info\n", 0644, 0, 'no secret' ],
	[ "[log]\nkey = 0123456789abcdef0123456789abcdef\n", 0604, 1, 'the key of the log' ])
{
	my ($text, $mode, $warns, $what) = @$case;
	write_file($text, $mode);
	my $r = check($s3->store, "--config=$file");
	is($r->{out} =~ /^warning  configuration file: .* has mode 6\d4 and holds a secret$/m ? 1 : 0,
		$warns, $what)
	  or diag $r->{out}, $r->{err};
	like($r->{out}, qr/mend: chmod o-rwx/, "$what: the mend") if $warns;
	unlike($r->{out} . $r->{err}, qr/HUSH/, "$what: it is not shown");
}

# TLS: a server whose certificate is for another name.
my ($cert, $key, $port) = ("$folder/cert.pem", "$folder/key.pem", free_port());
my $r = capture([
	qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other.example),
	'-addext', 'subjectAltName=DNS:other.example', '-keyout', $key, '-out', $cert ]);
is($r->{code}, 0, 'a certificate') or diag $r->{err};
my $tls = CdcS3::Proc::spawn(
	cmd => [ qw(openssl s_server -quiet -www -accept), $port, '-cert', $cert, '-key', $key ],
	log => "$folder/tls");
ok(poll(sub { IO::Socket::INET->new("127.0.0.1:$port") }, 30), 'a TLS server listens');

sub at
{
	my ($endpoint, @flags) = @_;
	my $store = $s3->store;
	return { %$store, flags => [ (grep { !/^--store\.endpoint/ } @{ $store->{flags} }),
			"--store.endpoint=$endpoint", @flags ] };
}
for (
	[ "https://127.0.0.1:$port", qr/mend: The server's certificate is for another name/,
		'a certificate for another name', "--store.ca_file=$cert" ],
	[ "https://127.0.0.1:$port", qr/mend: .*name its file in store\.ca_file/,
		'a certificate that nobody trusts' ],
	[ "http://127.0.0.1:$port", qr/mend: If the server speaks TLS at this port, the URL begins with https/,
		'http to a TLS port' ],
	[ 'https://127.0.0.1:' . $s3->port, qr/mend: If the server speaks no TLS at this port, the URL begins with http:/,
		'https to a plain port' ])
{
	my ($endpoint, $mend, $what, @flags) = @$_;
	$r = check(at($endpoint, @flags));
	is($r->{code}, 5, "$what: exit code") or diag $r->{out}, $r->{err};
	like($r->{out}, $mend, "$what: the mend") or diag $r->{out};
}
$tls->stop('KILL', 30);

# The source: its certificate is for another name, too.
chmod 0600, $key;
$r = capture([ 'cp', $cert, "$source->{data}/server.crt" ]);
$r = capture([ 'cp', $key, "$source->{data}/server.key" ]);
CdcS3::Proc::give_to_server_user("$source->{data}/server.crt", "$source->{data}/server.key");
$source->conf('ssl = on')->restart;
my $cdc = sidecar($source, 'postgres', $s3->store,
	source_conninfo => $source->conninfo('postgres', tcp => 1) . " sslmode=verify-full sslrootcert=$cert");
$r = $cdc->call('check', '--no-race');
is($r->{code}, 4, "a source's certificate for another name: exit code") or diag $r->{out};
like($r->{out}, qr/mend: use in source\.conninfo the host name that the server's certificate is for/,
	"a source's certificate for another name: the mend") or diag $r->{out};
done_testing();
