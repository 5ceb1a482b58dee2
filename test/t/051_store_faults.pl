#-------------------------------------------------------------------------
# The S3 store under faults: each once, so that the retry must carry the call
# through, and for ever, so that the call must end with the cause.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Proc qw(spawn temp_folder);
use CdcS3::StoreTool qw(store_tool);

my $fake = CdcS3::FakeS3->start;
my $secret = $fake->env->{AWS_SECRET_ACCESS_KEY};
my $s = store_tool(
	url => 's3://lake/p',
	endpoint => $fake->endpoint,
	retry_ms => 20_000,
	env => $fake->env);
my $short = $s->with(retry_ms => 150);
my $body = "a line of text\n" x 200;
my $large = 'x' x 3_000_000;
my $errors = '';

# A server that says nothing is given up after half a minute; meanwhile the
# other tests run.
my $silent = CdcS3::FakeS3->start;
$silent->fault(match => qr/^GET /, stall => 1, times => 0);
my $stalled = spawn(
	cmd => $s->with(endpoint => $silent->endpoint, retry_ms => 0)
	  ->command(get => 'k'),
	log => temp_folder() . '/stalled.log',
	env => $s->{env});

sub error
{
	my ($tool, @args) = @_;
	my $e = $tool->error(@args);
	$errors .= $e;
	return $e;
}

# name => fault, kind at the end where it stays for ever
my @passing = (
	[ '500 InternalError', { status => 500, code => 'InternalError' }, 'busy' ],
	[ '500 without a body', { status => 500, body => '' }, 'busy' ],
	[ '502 of a proxy', { status => 502, body => '<html>oops' }, 'busy' ],
	[ '503 SlowDown', { status => 503, code => 'SlowDown' }, 'busy' ],
	[ 'status 504', { status => 504, body => '' }, 'busy' ],
	[ 'status 429', { status => 429, body => '' }, 'busy' ],
	[ 'status 408', { status => 408, body => '' }, 'busy' ],
	[ '400 RequestTimeout', { status => 400, code => 'RequestTimeout' },
		'busy' ],
	[ '400 with half a body', { status => 400, body => '<Error><Code>Re' },
		'busy' ],
	[ '409 OperationAborted', { status => 409, code => 'OperationAborted' },
		'busy' ],
	[ '409 ConditionalRequestConflict',
		{ status => 409, code => 'ConditionalRequestConflict' }, 'busy' ],
	[ 'close without an answer', { close => 1 }, 'net' ],
	[ 'reset without an answer', { reset => 1 }, 'net' ],
	[ 'reset in the status line', { cut => 5 }, 'net' ],
	[ 'reset in the headers', { cut => 60 }, 'net' ],
);

my @calls = (
	[ put => 'PUT', sub { $_[0]->run(\$body, put => $_[1]) } ],
	[ 'put, large' => 'PUT', sub { $_[0]->run(\$large, put => $_[1]) } ],
	[ 'put if absent' => 'PUT',
		sub { $_[0]->run(\$body, 'put-if-absent' => $_[1]) } ],
	[ get => 'GET', sub { $_[0]->run(get => 'there') } ],
	[ head => '(?:HEAD|GET)', sub { $_[0]->run(head => 'there') } ],
	[ list => 'GET', sub { $_[0]->run(list => 'there') } ],
	[ delete => 'DELETE', sub { $_[0]->run(del => $_[1]) } ],
);

my $n = 0;
for my $call (@calls)
{
	my ($call_name, $method, $sub) = @$call;
	subtest "$call_name: once" => sub {
		for (@passing)
		{
			my ($name, $fault) = @$_;
			$fake->clear(objects => 1);
			$s->ok(\$body, put => 'there');
			$fake->fault(match => qr/^$method /, times => 1, %$fault);
			my $key = 'k' . $n++;
			my $r = $sub->($s, $key);
			is($r->{code}, 0, $name) or diag $r->{err};
			is_deeply(
				[ $fake->keys_stored ],
				[ ($call_name =~ /put/ ? "p/$key" : ()), 'p/there' ],
				"$name: objects");
		}
	};
	subtest "$call_name: for ever" => sub {
		for (@passing)
		{
			my ($name, $fault, $kind) = @$_;
			$fake->clear(objects => 1);
			$s->ok(\$body, put => 'there');
			$fake->fault(match => qr/^$method /, times => 0, %$fault);
			my $key = 'k' . $n++;
			my $r = $sub->($short, $key);
			$errors .= $r->{err};
			is($r->{code}, 75, "$name: exit code") or diag $r->{err};
			# A loaded machine may not come to a second try.
			like($r->{err},
				qr/^$kind: (?:gave up after \d+ tries in \d+ ms: )?could not/,
				"$name: message");
			is_deeply([ $fake->keys_stored ],
				['p/there'], "$name: nothing was made");
		}
	};
}

# The answer is lost, but the work was done.
for my $fault ({ close => 1 }, { reset => 1 }, { cut => 9 },
	{ status => 500, code => 'InternalError' })
{
	my $name = join ' ', %$fault;
	$fake->clear(objects => 1);
	$fake->fault(match => qr/^PUT /, after => 1, %$fault);
	is($s->run(\$body, put => 'a')->{code}, 0, "lost answer ($name): put");
	$fake->fault(match => qr/^PUT /, after => 1, %$fault);
	like(error($s, \$body, 'put-if-absent' => 'b'), qr/^exists: /,
		"lost answer ($name): put if absent says that the key is taken");
	is($s->ok(get => 'b'), $body, "lost answer ($name): by our own bytes");
	$fake->fault(match => qr/^DELETE /, after => 1, %$fault);
	is($s->run(del => 'a')->{code}, 0, "lost answer ($name): delete");
	is_deeply([ $fake->keys_stored ], ['p/b'], 'and nothing else');
}

# A status of 200 proves nothing.
$fake->clear(objects => 1);
my $hidden = '<Error><Code>InternalError</Code><Message>Oops</Message></Error>';
$fake->fault(match => qr/^PUT /, status => 200, body => "\n  $hidden");
is($s->run(\$body, put => 'a')->{code}, 0, '200 with an error: put again');
is($s->ok(get => 'a'), $body, '200 with an error: it is there');
$fake->fault(match => qr/^PUT /, status => 200, body => $hidden, times => 0);
like(error($short, \$body, put => 'c'), qr/^busy: .*InternalError: Oops/,
	'200 with an error for ever');
$fake->clear;
for my $list ('', $hidden, '<ListBucketResult><Contents><Key>x',
	'<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>',
	'<ListBucketResult><Contents></Contents></ListBucketResult>')
{
	$fake->fault(match => qr/^GET .*list-type/, status => 200, body => $list);
	is($s->ok(list => ''), 'a ' . length($body) . "\n",
		'a listing that is none is asked for again: ' . substr $list, 0, 40);
}

# Objects that come cut, damaged or slowly.
for my $cut (200, 300, 1000, 3000)
{
	$fake->fault(match => qr/^GET /, cut => $cut);
	is($s->ok(get => 'a'), $body, "get cut at byte $cut is repeated");
}
$fake->fault(match => qr/^GET /, status => 200, body => 'damaged',
	headers => { 'x-amz-checksum-crc32c' => 'AAAAAA==' });
is($s->ok(get => 'a'), $body, 'a wrong checksum is noticed');
$fake->fault(match => qr/^GET /, drip => [ 500, 0.05 ]);
is($s->ok(get => 'a'), $body, 'a slow answer is waited for');
$fake->fault(match => qr/^(?:PUT|GET) /, delay => 2);
$s->ok(\$body, put => 'slow');
is($s->ok(get => 'slow'), $body, 'a late answer is waited for');

# Pages.
$fake->clear(objects => 1);
$s->ok(\'x', put => "n$_") for 1 .. 7;
$fake->set(page => 2);
is(scalar(split /\n/, $s->ok(list => 'n')), 7, 'a listing in pages');
$fake->fault(match => qr/continuation-token/, status => 503,
	code => 'SlowDown', skip => 1);
is($s->ok(list => 'n'), join('', map { "n$_ 1\n" } 1 .. 7),
	'a page that fails is repeated, and no key comes twice');

# An answer before the body was read, and then a reset.
$fake->clear(objects => 1);
$s->ok(\$body, put => 'taken');
for my $size (2_000, 200_000, 3_000_000, 30_000_000)
{
	my $big = 'y' x $size;
	for my $expect (1, 0)
	{
		$fake->clear;
		$fake->set(expect => $expect);
		$fake->fault(match => qr/^PUT /, status => 412,
			code => 'PreconditionFailed', early => 1, times => 0);
		like(error($s, \$big, 'put-if-absent' => 'taken'), qr/^exists: /,
			"early 412, $size bytes" . ($expect ? '' : ', no 100'));
	}
}
$fake->clear;
$fake->set(expect => 0);
$s->ok(\$large, put => 'large');
$s->ok(\$large, put => 'large');
ok($s->ok(get => 'large') eq $large, 'a server that never says 100');

# Conditions.
$fake->clear(objects => 1);
$s->ok(\'one', 'put-if-absent' => 'c');
like(error($s, \'two', 'put-if-absent' => 'c'), qr/^exists: .*412/,
	'a condition that does not hold');
is($fake->objects->{'p/c'}, 'one', '412: the object stays');
is((grep { /^PUT/ } $fake->requests), 2, '412 is not tried again');

# Refusals are not repeated, and name thing and mend.
for (
	[ { status => 403, code => 'AccessDenied' }, 'auth', 6,
		qr/s3:PutObject.*"lake".*p\/k/ ],
	[ { status => 403, code => 'InvalidAccessKeyId' }, 'auth', 6,
		qr/AWS_ACCESS_KEY_ID/ ],
	[ { status => 404, code => 'XAdminUserNotFound' }, 'auth', 6,
		qr/AWS_ACCESS_KEY_ID/ ],
	[ { status => 403, code => 'SignatureDoesNotMatch',
			body => "<Error><Code>SignatureDoesNotMatch</Code>"
			  . "<CanonicalRequest>CANONICAL $secret</CanonicalRequest>"
			  . "</Error>" },
		'auth', 6, qr/AWS_SECRET_ACCESS_KEY/ ],
	[ { status => 404, code => 'NoSuchBucket' }, 'store', 5, qr/[Cc]reate/ ],
	[ { status => 400, code => 'InvalidArgument' }, 'store', 5,
		qr/InvalidArgument/ ],
	[ { status => 501, code => 'NotImplemented' }, 'store', 5,
		qr/store\.checksum/ ],
	[ { status => 301, code => 'PermanentRedirect' }, 'store', 5,
		qr/store\.region/ ])
{
	my ($fault, $kind, $code, $says) = @$_;
	$fake->clear;
	$fake->fault(match => qr/^PUT /, times => 0, %$fault);
	my $r = $s->run(\'x', put => 'k');
	$errors .= $r->{err};
	is($r->{code}, $code, "$fault->{code}: exit code");
	like($r->{err}, qr/^$kind: .*$fault->{status} $fault->{code}/,
		"$fault->{code}: message");
	like($r->{err}, $says, "$fault->{code}: mend");
	is(scalar $fake->requests, 1, "$fault->{code}: asked once");
}
$fake->clear;
$fake->fault(match => qr/^GET .*uploads/, status => 501,
	code => 'NotImplemented');
my $refused = error($s, uploads => '');
like($refused, qr/^store: could not list uploads .*501 NotImplemented/,
	'a server that cannot list uploads');
unlike($refused, qr/store\.checksum/, 'which checksums are no reason for');
unlike($errors, qr/CANONICAL/, 'no canonical request is repeated');

# A head without a body is explained by a get.
$fake->clear;
$fake->fault(match => qr/^(?:HEAD|GET) /, status => 403,
	code => 'AccessDenied', times => 0);
like(error($s, head => 'k'), qr/^auth: .*AccessDenied/, 'why a head fails');

# What an answer teaches.
$fake->clear;
$fake->set(skew => 3600 * 5);
is($s->run(\'x', put => 'clock')->{code}, 0, 'the clock is learned');
is(scalar $fake->requests, 2, 'with one more request');
is( $s->run(\"put a 1\nput b 2\nput c 3\n", 'session')->{out} =~ tr/\n//,
	3, 'and kept');
is(scalar $fake->requests, 2 + 4, 'for all that follow');
$fake->set(skew => 3600 * 50);
like(error($s, \'x', put => 'clock'), qr/^auth: .*clock/,
	'a clock that is days off is not believed');
$fake->clear;
$fake->set(region => 'eu-west-1');
is($s->run(\'x', put => 'region')->{code}, 0, 'the region is learned');
is(scalar $fake->requests, 2, 'with one more request');
$fake->clear;
$fake->fault(match => qr/^PUT /, times => 0, status => 307,
	headers => { Location => 'http://127.0.0.1:1/stolen',
		'x-amz-bucket-region' => 'eu-west-1' },
	code => 'TemporaryRedirect');
like(error($s, \'x', put => 'k'), qr/^store: .*307/,
	'nobody sends us to another host');
$fake->clear;
$fake->set(token => 'new');
like(error($s, \'x', put => 'k'), qr/^auth: .*ExpiredToken.*renew/,
	'an expired token is named');

# Checksums can be switched off.
$fake->clear;
$fake->set(checksums => 0);
like(error($s, \'x', put => 'k'), qr/^store: .*store\.checksum=off/,
	'a server without checksums');
is($s->with(checksum => 'off')->run(\'x', put => 'k')->{code}, 0,
	'and without checksums');

# Options become signed headers.
$fake->clear;
$s->with(
	sse => 'aws:kms',
	sse_kms_key => 'alias/k',
	sse_bucket_key => 1,
	storage_class => 'STANDARD_IA',
	tags => 'a=b',
	acl => 'bucket-owner-full-control',
	expected_owner => '111122223333',
	requester_pays => 1)->ok(\'x', put => 'k');
my ($put) = $fake->requests_whole;
my %want = (
	'x-amz-server-side-encryption' => 'aws:kms',
	'x-amz-server-side-encryption-aws-kms-key-id' => 'alias/k',
	'x-amz-server-side-encryption-bucket-key-enabled' => 'true',
	'x-amz-storage-class' => 'STANDARD_IA',
	'x-amz-tagging' => 'a=b',
	'x-amz-acl' => 'bucket-owner-full-control',
	'x-amz-expected-bucket-owner' => '111122223333',
	'x-amz-request-payer' => 'requester');
is_deeply({ map { $_ => $put->{headers}{$_} } keys %want },
	\%want, 'options of a put');
$fake->clear;
$s->with(expected_owner => '111122223333', sse => 'AES256')->ok(get => 'k');
my ($get) = $fake->requests_whole;
is($get->{headers}{'x-amz-expected-bucket-owner'},
	'111122223333', 'the owner is named in every request');
is($get->{headers}{'x-amz-server-side-encryption'},
	undef, 'encryption only in puts');

ok(defined $stalled->wait(60), 'silence ends');
is($stalled->{code}, 75, 'silence is an error that may pass');
like($stalled->output, qr/^net: .*no answer in time/, 'and is called by name');
like($stalled->output, qr/30 seconds/, 'after its time');
$errors .= $stalled->output;

unlike($errors, qr/$secret|AWS4-HMAC|Signature=/, 'no secret in any message');

done_testing();
