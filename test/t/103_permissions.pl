#-------------------------------------------------------------------------
# Policies of a bucket that lack something: check tries each permission that
# README names, a refusal names the one that would help, and what only the
# sweep wants is a warning.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Proc qw(slurp);
use CdcS3::StoreTool qw(store_tool);
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $s3 = CdcS3::FakeS3->start;
my $cdc = sidecar($source, 'postgres', $s3->store);
$source->psql('postgres', 'create table t (id int primary key)');

# What is refused => [name of the finding, level, the permission it names]
my %refused = (
	'^DELETE [^?]*$' => [ 'delete', 'warning', 's3:DeleteObject' ],
	'^GET .*[?&]uploads=' => [ 'list uploads', 'warning', 's3:ListBucketMultipartUploads' ],
	'^GET .*uploadId=' => [ 'list parts', 'warning', 's3:ListMultipartUploadParts' ],
	'^DELETE .*uploadId=' => [ 'abandon uploads', 'warning', 's3:AbortMultipartUpload' ],
	'^GET .*list-type=' => [ 'store', 'error', 's3:ListBucket' ],
	'^GET .*/_cdc/probe/[^?]*$' => [ 'store', 'error', 's3:GetObject' ],
	'^PUT ' => [ 'store', 'error', 's3:PutObject' ]);
my $readme = slurp(top_folder() . '/README.md');
my $doc = slurp(top_folder() . '/doc/check.md');

my $r = $cdc->call('check', '--no-race');
is($r->{code}, 0, 'all is allowed') or diag $r->{out};
unlike($r->{out}, qr/^warning  (?:delete|list|abandon)/m, 'and nothing is to be said');

for my $match (sort keys %refused)
{
	my ($name, $level, $permission) = @{ $refused{$match} };
	$s3->clear(objects => 1);
	$s3->fault(match => qr/$match/, times => 0, status => 403, code => 'AccessDenied');
	$r = $cdc->call('check', '--no-race');
	is($r->{code}, $level eq 'error' ? 6 : 0, "without $permission: exit code") or diag $r->{out};
	like($r->{out}, qr/^\Q$level\E +\Q$name\E: .*HTTP 403 AccessDenied.* \(request FAKE[0-9A-F]+\)$/m,
		"without $permission: a $level, with the request's id") or diag $r->{out};
	like($r->{out}, qr/mend: .*need \Q$permission\E\b/, "without $permission: it is named");
	like($readme, qr/`\Q$permission\E`/, "$permission is in README");
	like($doc, qr/`\Q$permission\E`/, "$permission is in doc/check.md");
}

# S3 without s3:ListBucket says 403 of a key that is not there.
$s3->clear(objects => 1);
$s3->fault(match => qr/^(?:GET|HEAD) .*nothing/, times => 0, status => 403, code => 'AccessDenied');
my $tool = store_tool(url => 's3://lake/p', endpoint => $s3->endpoint, env => $s3->env);
$r = $tool->run(get => 'nothing');
is($r->{code}, 6, 'a key that is not there: exit code');
like($r->{err}, qr/s3:ListBucket on the bucket, or S3 says this of each key that is not there/,
	'and the permission that S3 would say so with');

# init: a refused delete is no reason not to begin.
$s3->clear(objects => 1);
$s3->fault(match => qr/^DELETE /, times => 0, status => 403, code => 'AccessDenied');
$r = $cdc->call('init');
is($r->{code}, 0, 'init where nothing may be deleted') or diag $r->{err};
like($r->{err}, qr/level=warn event="objects cannot be deleted: leftovers will stay".*s3:DeleteObject/,
	'and it says so');

# A line for each request, where it is asked for.
$s3->clear;
$r = $cdc->call('ls', '--log.level=debug');
is($r->{code}, 0, 'a command with log.level=debug');
like($r->{err},
	qr/level=debug event=request verb=GET key=\S*_cdc\/log\/0{20}\.json status=200 request=FAKE\w+ ms=\d+ attempt=1$/m,
	'shows its requests') or diag $r->{err};
unlike($r->{err}, qr/aSecretThatMustNotShow/, 'and no secret');
done_testing();
