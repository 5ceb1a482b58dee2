#-------------------------------------------------------------------------
# Where credentials come from, with servers that give them.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use POSIX qw(strftime);

use CdcS3::FakeS3;
use CdcS3::Proc qw(temp_folder slurp);
use CdcS3::StoreTool qw(store_tool);

my $folder = temp_folder();
my $s3 = CdcS3::FakeS3->start;
my $agent = CdcS3::FakeS3->start;
my $errors = '';

# No credentials but those of the test at hand.
my $s = store_tool(
	url => 's3://lake/p',
	endpoint => $s3->endpoint,
	retry_ms => 3000,
	env => {
		HOME => $folder,
		AWS_REGION => 'us-east-1',
		AWS_EC2_METADATA_DISABLED => 'true'
	});

sub write_file
{
	my ($name, $text) = @_;
	open my $f, '>', "$folder/$name" or die "$folder/$name: $!\n";
	print $f $text;
	close $f or die "$folder/$name: $!\n";
	return "$folder/$name";
}

sub in_seconds
{
	return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $_[0]));
}

sub answer
{
	my ($id, $seconds, $token) = @_;
	return
	  qq({"Code":"Success","Version":1,"AccessKeyId":"$id",)
	  . qq("SecretAccessKey":"SECRET$id","$token":"TOKEN$id",)
	  . qq("Expiration":") . in_seconds($seconds) . '"}';
}

# The key id and the token that the last request to S3 was signed with.
sub last_signer
{
	my ($r) = ($s3->requests_whole)[-1];
	my ($id) = $r->{headers}{authorization} =~ m{Credential=([^/]+)/};
	return join ' ', $id, $r->{headers}{'x-amz-security-token'} // 'none';
}

sub error
{
	my ($tool, @args) = @_;
	my $e = $tool->error(@args);
	$errors .= $e;
	return $e;
}

# None at all
my $r = $s->run(\'x', put => 'k');
is($r->{code}, 6, 'no credentials: exit code');
like($r->{err}, qr/^auth: no credentials .*AWS_ACCESS_KEY_ID.*credentials/,
	'no credentials: what to do');
is(scalar $s3->requests, 0, 'no credentials: nothing is sent');

# A program
mkdir "$folder/.aws" or die $!;
my $json = write_file('out.json', answer('PROC', 3600, 'SessionToken'));
write_file('.aws/config', "[profile p]\ncredential_process = cat '$json'\n"
	  . "[profile bad]\ncredential_process = echo SECRETX >&2; exit 3\n"
	  . "[profile noise]\ncredential_process = echo SECRETX\n"
	  . "[profile half]\ncredential_process = echo '{\"AccessKeyId\":\"A\"}'\n"
	  . "[profile date]\ncredential_process = echo '{\"AccessKeyId\":\"A\","
	  . "\"SecretAccessKey\":\"b\",\"Expiration\":\"soon\"}'\n"
	  . "[profile flood]\ncredential_process = yes SECRETX\n"
	  . "[profile sso]\nsso_session = corp\n"
	  . "[profile chain]\nrole_arn = arn:x\nsource_profile = p\n");
$s->with(env => { AWS_PROFILE => 'p' })->ok(\'x', put => 'k');
is(last_signer(), 'PROC TOKENPROC', 'credential_process');
for (
	[ bad => qr/^auth: credential_process failed with exit code 3/ ],
	[ noise => qr/^auth: .*no JSON/ ],
	[ half => qr/^auth: .*without credentials/ ],
	[ date => qr/^auth: .*no time/ ],
	[ flood => qr/^auth: .*without end/ ],
	[ sso => qr/^auth: .*sso_session.*credential_process = aws configure/ ],
	[ chain => qr/^auth: .*source_profile.*not supported/ ],
	[ nobody => qr/^auth: profile "nobody" was not found/ ])
{
	my ($profile, $says) = @$_;
	like(error($s->with(env => { AWS_PROFILE => $profile }), get => 'k'),
		$says, "profile $profile");
}

# Web identity
my $sts = '<AssumeRoleWithWebIdentityResponse><R><Credentials>'
  . '<AccessKeyId>WEB</AccessKeyId><SecretAccessKey>SECRETWEB'
  . '</SecretAccessKey><SessionToken>TOKENWEB</SessionToken><Expiration>'
  . in_seconds(3600)
  . '</Expiration></Credentials></R></AssumeRoleWithWebIdentityResponse>';
my $token_file = write_file('token', "the.web&token=\n");
my $web = $s->with(
	env => {
		AWS_ENDPOINT_URL_STS => $agent->endpoint,
		AWS_ROLE_ARN => 'arn:aws:iam::1:role/r',
		AWS_WEB_IDENTITY_TOKEN_FILE => $token_file
	});
$agent->fault(match => qr{^POST /}, status => 200, body => $sts, times => 0);
$web->ok(\'x', put => 'k');
is(last_signer(), 'WEB TOKENWEB', 'web identity');
my ($asked) = $agent->requests;
is($asked, 'POST /', 'the token is not in the URL');
$web->run(\join('', map { "put k$_ x\n" } 1 .. 5), 'session');
is(scalar(() = $agent->requests), 2, 'asked once for many requests');

write_file('.aws/config', "[profile w]\nrole_arn = arn:aws:iam::1:role/r\n"
	  . "web_identity_token_file = $token_file\n");
$s->with(env => {
	AWS_PROFILE => 'w',
	AWS_ENDPOINT_URL_STS => $agent->endpoint
})->ok(\'x', put => 'k');
is(last_signer(), 'WEB TOKENWEB', 'web identity of a profile');
$agent->clear;
$agent->fault(match => qr/POST/, status => 403, times => 0,
	code => 'AccessDenied', message => 'SECRETX');
$r = $web->run(get => 'k');
$errors .= $r->{err};
is($r->{code}, 6, 'web identity refused: exit code');
like($r->{err}, qr/^auth: STS gave no credentials: HTTP 403 AccessDenied/,
	'web identity refused: message');
$agent->clear;
$agent->fault(match => qr/POST/, status => 500, body => '');
$agent->fault(match => qr/POST/, close => 1, status => 500);
$agent->fault(match => qr/POST/, status => 200, body => $sts);
is($web->run(get => 'k')->{code}, 0, 'STS that fails twice is asked again');
like(error($web->with(env => { AWS_WEB_IDENTITY_TOKEN_FILE => '/no/where' }),
		get => 'k'), qr{^auth: .*/no/where}, 'no token file');

# A container's agent
$agent->clear;
my $pod = $s->with(
	env => {
		AWS_CONTAINER_CREDENTIALS_FULL_URI => $agent->endpoint . '/v1/creds',
		AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE => $token_file
	});
$agent->fault(match => qr{^GET /v1/creds$}, status => 200, times => 0,
	body => answer('POD', 3600, 'Token'));
$pod->ok(\'x', put => 'k');
is(last_signer(), 'POD TOKENPOD', 'container');
is(($agent->requests_whole)[0]{headers}{authorization},
	'the.web&token=', 'with the token of its file');
for my $url ('http://169.254.169.254/x', 'http://example.com/',
	'http://127.0.0.1.example.com/', 'http://127.0.0.1@example.com/',
	'ftp://127.0.0.1/')
{
	like(
		error(
			$pod->with(env => { AWS_CONTAINER_CREDENTIALS_FULL_URI => $url }),
			get => 'k'),
		qr/^auth: .*not to be trusted/,
		"no token for $url");
}

# The machine's role
$agent->clear;
my $machine = $s->with(
	env => {
		AWS_EC2_METADATA_DISABLED => '',
		AWS_EC2_METADATA_SERVICE_ENDPOINT => $agent->endpoint,
		http_proxy => 'http://127.0.0.1:1',
		no_proxy => '127.0.0.1:' . $s3->port
	});
sub machine_has
{
	my ($body) = @_;
	$agent->clear;
	$agent->fault(match => qr{^PUT /latest/api/token$}, status => 200,
		times => 0, body => 'imdstoken');
	$agent->fault(match => qr{^GET /latest/meta-data/.*/role$},
		status => 200, times => 0, body => $body);
	$agent->fault(match => qr{^GET /latest/meta-data/iam/.*/$},
		status => 200, times => 0, body => "role\n");
	return;
}
machine_has(answer('VM', 3600, 'Token'));
my $direct = $machine->with(env => { http_proxy => '' });
$direct->ok(\'x', put => 'k');
is(last_signer(), 'VM TOKENVM', 'machine role');
my @asked = $agent->requests_whole;
is(scalar @asked, 3, 'token, role, credentials');
is($asked[2]{headers}{'x-aws-ec2-metadata-token'},
	'imdstoken', 'with the token of version 2');
like(error($machine, get => 'k'), qr/^net: .*127\.0\.0\.1 port 1\b/,
	'a proxy is for S3');
is(scalar(() = $agent->requests), 6, '... and not for the machine');
$agent->clear;
$agent->fault(match => qr/PUT/, status => 404, times => 0, body => '');
like(error($direct, get => 'k'), qr/^auth: no credentials/, 'no such service');
$direct = $direct->with(
	env => { AWS_EC2_METADATA_SERVICE_ENDPOINT => 'http://127.0.0.1:1' });
like(error($direct, get => 'k'), qr/^auth: no credentials/, 'nobody there');

# Those that end are replaced before they do; one that the server calls
# expired is replaced in the middle.
$agent->clear;
$s3->clear;
$agent->fault(match => qr/v1/, status => 200,
	body => answer('SHORT', 60, 'Token'));
$agent->fault(match => qr/v1/, status => 200, times => 0,
	body => answer('LONG', 3600, 'Token'));
$r = $pod->run(\"put a x\nput b x\nsleep 10500\nput c x\n", 'session');
is($r->{out}, "ok \n" x 4, 'credentials with little time left');
is(last_signer(), 'LONG TOKENLONG', '... are replaced while in use');
is(scalar(() = $agent->requests), 2, '... once');
$agent->clear;
$agent->fault(match => qr/v1/, status => 200,
	body => answer('OLD', 3600, 'Token'));
$agent->fault(match => qr/v1/, status => 200, times => 0,
	body => answer('NEW', 3600, 'Token'));
$s3->set(token => 'TOKENNEW');
$r = $pod->run(\"put a x\nput b x\n", 'session');
is($r->{out}, "ok \n" x 2, 'an expired token is replaced');
is(scalar(() = $agent->requests), 2, '... once');

unlike($errors, qr/SECRET(?!_ACCESS_KEY)|TOKEN[A-Z]/, 'no secret in any message');
done_testing();
