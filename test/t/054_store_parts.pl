#-------------------------------------------------------------------------
# Objects in parts under faults: whole or not there, and nothing is left.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::StoreTool qw(store_tool);

my $fake = CdcS3::FakeS3->start;
my $s = store_tool(
	url => 's3://lake/p',
	endpoint => $fake->endpoint,
	retry_ms => 20_000,
	env => $fake->env);
my $short = $s->with(retry_ms => 150);
my $part = 5 * 1024 * 1024;
my $body = join('', map { chr($_ % 253) } 1 .. 4096) x (2 * $part / 4096 + 1);

my %step = (
	begin => qr/^POST .*uploads=/,
	part => qr/^PUT .*partNumber=2/,
	finish => qr/^POST .*uploadId=/,
);
my @faults = (
	[ '500', { status => 500, code => 'InternalError' } ],
	[ '503', { status => 503, code => 'SlowDown' } ],
	[ '400', { status => 400, code => 'RequestTimeout' } ],
	[ 'close', { close => 1, status => 500 } ],
	[ 'reset', { reset => 1, status => 500 } ],
	[ 'empty 200', { status => 200, body => '', headers => {} } ],
	[ 'error in a 200', { status => 200,
			body => '<Error><Code>InternalError</Code></Error>' } ],
	[ 'lost answer', { close => 1, after => 1 } ],
	[ 'error in a 200, done', { status => 200, after => 1,
			body => '<Error><Code>InternalError</Code></Error>' } ],
	[ 'cut 200, done', { status => 200, after => 1,
			body => '<CompleteMultipartUploadResult><ETag>' } ],
);

for my $step (sort keys %step)
{
	subtest $step => sub {
		for (@faults)
		{
			my ($name, $fault) = @$_;
			$fake->clear(objects => 1);
			$fake->fault(match => $step{$step}, %$fault);
			my $r = $s->run(\$body, write => 'big', $part);
			is($r->{code}, 0, "$name once") or diag $r->{err};
			ok($s->ok(get => 'big') eq $body, "$name once: it is whole");
			is($s->ok(uploads => ''), '', "$name once: nothing is left");

			next if $fault->{after};
			$fake->clear(objects => 1);
			$fake->fault(match => $step{$step}, times => 0, %$fault);
			$r = $short->run(\$body, write => 'big', $part);
			is($r->{code}, 75, "$name for ever: exit code") or diag $r->{err};
			is(scalar $fake->keys_stored, 0, "$name for ever: no object");
			is($s->ok(uploads => ''), '', "$name for ever: nothing is left");
		}
	};
}

# One server calls its answer by a name of its own.
$fake->clear(objects => 1);
$fake->set(initiated => 'InitiateMultipartUpload');
my $r = $short->run(\$body, write => 'big', $part);
is($r->{code}, 0, 'an upload by another name') or diag $r->{err};
ok($s->ok(get => 'big') eq $body, 'an upload by another name: it is whole');
is($s->ok(uploads => ''), '', 'an upload by another name: nothing is left');

# Refused for good
$fake->clear(objects => 1);
$fake->fault(match => $step{part}, times => 0, status => 403,
	code => 'AccessDenied');
$r = $s->run(\$body, write => 'big', $part);
is($r->{code}, 6, 'a part is refused: exit code');
like($r->{err}, qr/^auth: could not write a part of object "p\/big"/,
	'a part is refused: message');
is($s->ok(uploads => ''), '', 'a part is refused: nothing is left');

# An upload that somebody else removed
$fake->clear(objects => 1);
$fake->fault(match => $step{finish}, times => 0, status => 404,
	code => 'NoSuchUpload');
$r = $s->run(\$body, write => 'big', $part);
is($r->{code}, 75, 'the upload is gone: exit code');
like($r->{err}, qr/NoSuchUpload/, 'the upload is gone: message');
is(scalar $fake->keys_stored, 0, 'the upload is gone: no object');

# Nor was it finished by an earlier try where what has its name is another object.
$fake->clear(objects => 1);
$s->run(\'short', put => 'big');
$fake->fault(match => $step{finish}, times => 0, status => 404,
	code => 'NoSuchUpload');
$r = $s->run(\$body, write => 'big', $part);
is($r->{code}, 75, 'another object has the name: exit code') or diag $r->{err};
is($s->ok(get => 'big'), 'short', 'and it is as it was');

# What a killed writer leaves can be found.
$fake->clear(objects => 1);
$fake->fault(match => qr/^(?:POST|DELETE) .*uploadId=/, times => 0,
	status => 500, code => 'InternalError');
$short->run(\$body, write => 'left/one', $part);
$fake->clear;
is($s->ok(uploads => 'left/'), "left/one\n", 'an upload that was left');
$s->ok('abandon-all' => 'left/');
is($s->ok(uploads => 'left/'), '', 'is abandoned');

done_testing();
