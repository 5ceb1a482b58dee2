#-------------------------------------------------------------------------
# The store interface against a folder and against real S3 servers: one body
# for all of them.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Proc qw(temp_folder slurp);
use CdcS3::S3Server qw(start_versitygw start_s3proxy start_moto start_s3rver
  make_certificate);
use CdcS3::StoreTool qw(store_tool);

# More than a page holds takes a while on the slow ones.
my $long = $ENV{CDCS3_TEST_LONG};

# What keys of the lake can look like, and worse.
my @keys = (
	'shop/orders/year=2026/month=11/day=21/hour=08/part-0-1-ab.json.zst',
	'_cdc/log/00000000000000000042.json',
	'a%2Fb/c%20d',
	'plus+equals=at@colon:comma,',
	'two words',
	"quote'paren(tilde~",
	'amp&lt<gt>',
	'a/b/c/d/e/f/g',
);

sub keys_listed
{
	my ($s, $prefix) = @_;
	return [ sort map { s/ \d+$//r } split /\n/, $s->ok(list => $prefix) ];
}

sub body
{
	my ($name, $s) = @_;

	subtest $name => sub {
		is($s->ok(list => ''), '', 'nothing there');
		like($s->error(get => 'none'), qr/^not_found: /, 'get of nothing');
		like($s->error(head => 'none'), qr/^not_found: /, 'head of nothing');
		is($s->run(del => 'none')->{code}, 0, 'delete of nothing');

		for my $key (@keys)
		{
			$s->ok(\"body of $key", put => $key);
			is($s->ok(get => $key), "body of $key", "get $key");
		}
		is_deeply(keys_listed($s, ''), [ sort @keys ], 'all are listed');
		is_deeply(
			keys_listed($s, 'a'),
			[ sort grep { /^a/ } @keys ],
			'those of a prefix are listed');
		is(scalar @{ keys_listed($s, 'nothing/like/it') }, 0,
			'none of another prefix');
		is($s->ok(head => $keys[0]) + 0, length "body of $keys[0]", 'head');

		$s->ok(\'', 'put-if-absent', 'empty');
		is($s->ok(get => 'empty'), '', 'an empty object');
		is($s->ok(head => 'empty') + 0, 0, 'head of an empty object');

		my $big = join '', map { chr($_ * 7 % 256) } 0 .. 99_999;
		$big x= 30;
		$s->ok(\$big, put => 'big');
		is(length $s->ok(get => 'big'), length $big, 'three megabytes');
		ok($s->ok(get => 'big') eq $big, 'and they are the same');

		$s->ok(\'first', 'put-if-absent', 'once');
		like($s->error(\'second', 'put-if-absent', 'once'),
			qr/^exists: /, 'a key is taken once');
		like($s->error(\$big, 'put-if-absent', 'once'),
			qr/^exists: /, 'by a large body as well');
		is($s->ok(get => 'once'), 'first', 'the first one stays');
		is($s->run(\'first', put => 'once')->{code}, 0, 'the same put again');

		$s->ok(del => 'once');
		like($s->error(get => 'once'), qr/^not_found: /, 'deleted');
		$s->ok(\'third', 'put-if-absent', 'once');
		is($s->ok(get => 'once'), 'third', 'the key is free again');
	};
	return;
}

# An object in parts, and what is left of one.
sub parts
{
	my ($name, $s) = @_;
	my $part = 5 * 1024 * 1024;
	my $piece = join '', map { chr($_ * 11 % 251) } 0 .. 1023;
	for my $size (0, 1000, $part, $part + 1, 3 * $part, 3 * $part + 5000)
	{
		my $big = substr $piece x ($size / 1024 + 1), 0, $size;
		my $r = $s->run(\$big, write => "parts/$size", $part);
		is($r->{code}, 0, "$name: $size bytes in parts") or diag $r->{err};
		ok($s->ok(get => "parts/$size") eq $big, "$name: and they are right");
	}
	is($s->ok(uploads => 'parts/'), '', "$name: no upload is left open");
	return;
}

# Sixteen writers of a key at once: one of them wins, each time.
sub race
{
	my ($name, $s, $rounds) = @_;
	my @bad;
	for my $i (1 .. $rounds)
	{
		my $bytes = $i % 2 ? 200 : 1_000_000;
		my $r = $s->run(race => "_cdc/log/$i", 16, $bytes);
		push @bad, "$r->{out}$r->{err}" if $r->{code};
	}
	is("@bad", '', "$name: one of sixteen wins, $rounds times");
	return;
}

sub many
{
	my ($name, $s, $n) = @_;
	my $r = $s->run(\join('', map { "put many/$_ x\n" } 1 .. $n), 'session');
	is(scalar(() = $r->{out} =~ /^ok/mg), $n, "$name: $n objects over one store");
	my @listed = split /\n/, $s->ok(list => 'many/');
	is(scalar @listed, $n, "$name: all of them are listed, once");
	is(scalar(split /\n/, $s->ok(list => 'many/', 7)), 7,
		"$name: a listing ends where it is told to");
	return;
}

sub mistakes
{
	my ($name, $s, $bucket) = @_;
	my $r = $s->with(url => "s3://$bucket-not/x")->run(\'x', put => 'a');
	is($r->{code}, 5, "$name: wrong bucket: exit code");
	like($r->{err}, qr/^store: .*"$bucket-not".*NoSuchBucket.*Create/,
		"$name: wrong bucket: what and how to mend it");
	for my $verb (qw(get head))
	{
		like($s->with(url => "s3://$bucket-not/x")->error($verb => 'a'),
			qr/^store: .*NoSuchBucket/, "$name: wrong bucket: $verb");
	}
	my $secret = 'notTheRightSecret';
	$r = $s->with(env => { AWS_SECRET_ACCESS_KEY => $secret })
	  ->run(\'x', put => 'a');
	is($r->{code}, 6, "$name: wrong secret: exit code");
	like($r->{err}, qr/^auth: .*AWS_SECRET_ACCESS_KEY/,
		"$name: wrong secret: what and how to mend it");
	unlike($r->{err}, qr/$secret|AWS4-HMAC/, "$name: no secret is told");
	$r = $s->with(env => { AWS_ACCESS_KEY_ID => 'AKIDNOBODY' })
	  ->run(get => 'a');
	is($r->{code}, 6, "$name: wrong key id: exit code");
	return;
}

my $folder = temp_folder();
my $file = store_tool(url => "file://$folder/file/lake");
body('file', $file);
race('file', $file, 4);
parts('file', $file);
many('file', $file, 300);
is_deeply([ glob("$folder/file/lake/_cdc/tmp/*") ],
	[], 'file: nothing is left in the folder of temporary files');

sub tool_for
{
	my ($server, %o) = @_;
	return store_tool(
		url => 's3://' . $server->bucket . '/some/pre=fix',
		endpoint => $server->endpoint,
		retry_ms => 5000,
		env => $server->env,
		%o);
}

SKIP:
{
	my $server = start_versitygw()
	  or skip CdcS3::S3Server->why, 1;
	my $s = tool_for($server);
	body('versitygw', $s);
	race('versitygw', $s, 6);
	parts('versitygw', $s);
	many('versitygw', $s, 1100);
	mistakes('versitygw', $s, $server->bucket);
	$s->ok(\'x', put => 'signed/for');
	is( $s->with(env => { AWS_REGION => 'eu-west-1' })->ok(get => 'signed/for'),
		'x',
		'versitygw: the region is learned from the refusal');
	my $virtual = $s->with(
		url => 's3://lake/virtual',
		endpoint => 'http://s3.localhost:' . $server->port,
		addressing => 'virtual');
	body('versitygw, virtual-host style', $virtual);

	# The network is not to be waited for without end.
	$server->kill9;
	my $r = $s->with(retry_ms => 700)->run(get => 'x');
	is($r->{code}, 75, 'versitygw is dead: exit code');
	like($r->{err}, qr/^net: gave up after \d+ tries .*127\.0\.0\.1/,
		'versitygw is dead: what was tried');
	$server->restart;
	is($s->ok(get => 'signed/for'), 'x', 'versitygw is back');
}

SKIP:
{
	my ($cert, $key) = make_certificate($folder);
	my $server = start_versitygw(cert => $cert, key => $key)
	  or skip CdcS3::S3Server->why, 1;
	my $s = tool_for($server);
	body('versitygw, TLS', $s);
	my $r = $s->with(env => { AWS_CA_BUNDLE => '' })->run(get => 'x');
	is($r->{code}, 75, 'a certificate that nobody vouches for is refused');
	like($r->{err}, qr/store\.ca_file/, 'and the mend is named');
	is($s->with(ca_file => $cert, env => { AWS_CA_BUNDLE => '' })
		  ->ok(list => 'x'), '', 'with its authority it is taken');
}

SKIP:
{
	my $server = start_s3proxy() or skip CdcS3::S3Server->why, 1;
	my $s = tool_for($server);
	body('s3proxy', $s);
	race('s3proxy', $s, 4);
	parts('s3proxy', $s);
	many('s3proxy', $s, $long ? 1100 : 50);
	mistakes('s3proxy', $s, $server->bucket);
	$server->stop;
}

SKIP:
{
	my $server = start_moto() or skip CdcS3::S3Server->why, 1;
	my $s = tool_for($server);
	body('moto', $s);
	parts('moto', $s);
	many('moto', $s, $long ? 1100 : 50);
	my $with = $s->with(
		sse => 'aws:kms',
		sse_kms_key => 'alias/lake',
		sse_bucket_key => 1,
		storage_class => 'STANDARD_IA',
		tags => 'team=data&pii=no',
		acl => 'bucket-owner-full-control');
	$with->ok(\'x', put => 'with/options');
	is($s->ok(get => 'with/options'), 'x', 'moto: put with all options');
	$server->stop;
}

SKIP:
{
	my $server = start_s3rver() or skip CdcS3::S3Server->why, 1;
	my $s = tool_for($server);
	$s->ok(\'first', 'put-if-absent', 'a');
	is($s->ok(get => 'a'), 'first', 's3rver: put and get');
	is($s->run(\'second', 'put-if-absent', 'a')->{code}, 0,
		's3rver ignores conditions: it is there to be refused');
	$server->stop;
}

done_testing();
