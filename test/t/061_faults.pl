#-------------------------------------------------------------------------
# The whole stream over a scripted S3 server: each fault once or a few times
# while changes arrive.  After each the lake is equal to the source, row for
# row and none twice, and no object or upload is there that does not count;
# and no secret comes into the log.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Proc qw(temp_folder);
use CdcS3::Test;

my $limit = 32 << 20;
my $source = new_cluster('source')->start;
my $fake = CdcS3::FakeS3->start;
my $folder = temp_folder();
$source->psql('postgres', <<'SQL');
create table small (id integer primary key, v text);
create table other (id integer primary key, v text);
create table big (id integer primary key, v text);
SQL

# Credentials that end: a program gives them.
sub give
{
	my ($name) = @_;
	open my $f, '>', "$folder/creds.json" or die "creds.json: $!\n";
	print $f qq({"Version":1,"AccessKeyId":"AKID$name",)
	  . qq("SecretAccessKey":"SECRETKEY$name","SessionToken":"TOKEN$name",)
	  . '"Expiration":"2099-01-01T00:00:00Z"}';
	close $f or die "creds.json: $!\n";
	return;
}
give('one');
open my $f, '>', "$folder/config" or die "config: $!\n";
print $f "[default]\ncredential_process = cat $folder/creds.json\n";
close $f or die "config: $!\n";

my $store = $fake->store;
$store->{env} = {
	HOME => $folder,
	AWS_CONFIG_FILE => "$folder/config",
	AWS_REGION => 'us-east-1',
	AWS_EC2_METADATA_DISABLED => 'true'
};
my $cdc = sidecar(
	$source, 'postgres', $store,
	flags => [
		'--load.mode=never', "--memory.limit=$limit",
		'--flush.interval=1s', '--log.level=debug'
	]);
$cdc->ok('init');
my $run = $cdc->start;
my $logs = '';
my $n = 0;

# Changes of three tables; with "large" an object in parts too.
sub change
{
	my ($large) = @_;
	$n++;
	my $sql = "begin; insert into small values ($n, 'new $n');"
	  . "insert into other select i, 'x' from generate_series($n * 100, $n * 100 + 9) i;"
	  . "update small set v = v || '+' where id >= $n - 2;"
	  . "delete from other where id % 100 = 5; commit;";
	my $first = $n * 10000;
	$sql .= "insert into big select i, (select string_agg(md5((i * 100 + k)::text), '') "
	  . 'from generate_series(1, 100) k) '
	  . "from generate_series($first, $first + 3599) i;"
	  if $large;
	$source->psql('postgres', $sql);
	return;
}

# What the lake says by now: table => { id => v }.
my %lake = (small => {}, other => {}, big => {});
my $until = '0/0';
my $seen_twice = 0;
my %seen;

sub read_lake
{
	for my $line (split /\n/, $cdc->replay("--from=$until"))
	{
		my ($table, $op, $lsn, $seq) =
		  $line =~ /"_table":"(\w+)".*?"_op":"(\w)".*?"_lsn":"(\w+)".*?"_seq":(\d+)/
		  or die "replay: $line\n";
		my ($id) = $line =~ /"id":(\d+)/;
		my ($v) = $line =~ /"v":"([^"]*)"/;
		$seen_twice++ if $seen{"$lsn/$seq"}++;
		$until = sprintf '%X/%X', hex(substr $lsn, 0, 8), hex(substr $lsn, 8);
		if ($op eq 'd') { delete $lake{$table}{$id}; }
		else { $lake{$table}{$id} = md5_hex($v); }
	}
	return;
}

sub sum_of
{
	my ($table) = @_;
	my $rows = $lake{$table};
	return md5_hex(join ',', map { "$_:$rows->{$_}" } sort { $a <=> $b } keys %$rows);
}

# Objects that no entry lists.
sub unlisted
{
	my %listed = map { /(\S+)$/ ? ("cdc/$1" => 1) : () } split /\n/,
	  $cdc->ls('objects');
	return grep { !m{^cdc/_cdc/} && !$listed{$_} } $fake->keys_stored;
}

sub check_lake
{
	my ($name) = @_;
	ok($cdc->wait_durable(60), "$name: all is durable")
	  or diag substr $run->errors, -3000;
	read_lake();
	my $want = $source->psql('postgres', join ' union all ', map {
		"select md5(string_agg(id || ':' || md5(v), ',' order by id)) from $_"
	} qw(small other big));
	is(join("\n", map { sum_of($_) } qw(small other big)),
		$want, "$name: the lake is equal to the source");
	ok(poll(sub { !$fake->uploads && !unlisted() }, 30),
		"$name: nothing is left behind")
	  or diag join "\n", $fake->uploads, unlisted();
	return;
}

my $object = qr{^PUT /lake/cdc/public};
my $entry = qr{^PUT /lake/cdc/_cdc/log/};
my $begin = qr{^POST .*\?uploads=};
my $part = qr{^PUT .*partNumber=1};
my $complete = qr{^POST .*uploadId=};
my $hidden = '<Error><Code>InternalError</Code><Message>Oops</Message></Error>';

change(1);
check_lake('no fault');

# name, [match, fault …] …, and whether a large object comes too
my @table = (
	[ '500', [ $object, times => 2, status => 500, code => 'InternalError' ] ],
	[ '503', [ $entry, times => 2, status => 503, code => 'SlowDown' ] ],
	[ '400 RequestTimeout',
		[ $object, status => 400, code => 'RequestTimeout' ],
		[ $part, status => 400, code => 'RequestTimeout' ], 'large' ],
	[ 'a reset in a request',
		[ $object, swallow => 10 ], [ $entry, swallow => 100 ] ],
	[ 'a reset in a part',
		[ $part, swallow => 1_000_000 ], [ $begin, reset => 1 ], 'large' ],
	[ 'a reset in an answer', [ $object, cut => 9 ], [ $entry, cut => 60 ] ],
	[ 'slow answers', [ $object, drip => [ 20, 0.03 ] ],
		[ $entry, drip => [ 20, 0.03 ] ] ],
	[ 'empty answers', [ $object, status => 200, body => '' ],
		[ $entry, status => 200, body => '' ] ],
	[ 'empty answers to parts', [ $begin, status => 200, body => '' ],
		[ $part, status => 200, body => '' ],
		[ $complete, status => 200, body => '' ], 'large' ],
	[ 'an error in a 200', [ $object, status => 200, body => $hidden ],
		[ $entry, status => 200, body => $hidden ],
		[ $complete, status => 200, body => $hidden ], 'large' ],
	[ 'a cut answer to a finish',
		[ $complete, status => 200, after => 1,
			body => '<CompleteMultipartUploadResult><ETag>' ], 'large' ],
	[ 'lost answers', [ $object, close => 1, after => 1 ],
		[ $entry, close => 1, after => 1 ] ],
	[ 'lost answers about parts', [ $begin, close => 1, after => 1 ],
		[ $part, reset => 1, after => 1 ],
		[ $complete, close => 1, after => 1 ], 'large' ],
	[ 'an entry that is there, and an early 412',
		[ $entry, reset => 1, after => 1 ],
		[ $entry, status => 412, code => 'PreconditionFailed', early => 1 ] ],
	[ 'a 412 about nothing',
		[ $entry, status => 412, code => 'PreconditionFailed' ] ],
	[ '409', [ $entry, status => 409, code => 'ConditionalRequestConflict' ],
		[ $object, status => 409, code => 'OperationAborted' ] ],
	[ 'reads that come damaged',
		[ qr{^GET .*_cdc/log/}, status => 200, body => '{"version":' ],
		[ qr{^GET .*_cdc/log/0+1\.json}, status => 200, body => '{"ver' ],
		[ qr{^GET .*_cdc/log/0+2\.json}, status => 200, body => '' ] ],
);
for (@table)
{
	my ($name, @faults) = @$_;
	my $large = @faults && !ref $faults[-1] ? pop @faults : '';
	for my $fault (@faults)
	{
		my ($match, %what) = @$fault;
		$fake->fault(match => $match, %what);
	}
	change($large);
	check_lake($name);
	$fake->clear;
}

$fake->set(conditions => 0);
change();
check_lake('ignored conditions');
$fake->clear;

# The token ends in mid-stream; there is a new one.
give('two');
$fake->set(token => 'TOKENtwo');
change(1);
check_lake('an expired token');
$fake->clear;
is($run->errors =~ /session lost/ ? 'lost' : 'one', 'one',
	'all that was one session');

# Somebody abandons the upload: the session begins anew, at the log.
$fake->fault(match => qr{^PUT .*partNumber=2}, status => 503,
	code => 'SlowDown', times => 0);
change(1);
ok(poll(sub { scalar $fake->uploads }, 30), 'an upload is under way');
$fake->drop_uploads;
$fake->clear;
check_lake('an upload that is gone');
like($run->errors, qr/session lost.*NoSuchUpload/, 'and the log says so');

# Refused for good: the program ends, and leaves nothing.
$fake->fault(match => qr{^PUT .*partNumber=2}, status => 403,
	code => 'AccessDenied', times => 0);
change(1);
is($run->wait(30), 6, 'a part that is refused ends the program');
is(scalar $fake->uploads, 0, 'its upload is abandoned');
$fake->clear;
$logs .= $run->errors;
$run = $cdc->start;
check_lake('and started again');

# A store that stands still, and more changes than memory holds: after a while
# the server cannot send any more.
kill 'STOP', $fake->{pid};
change(1) for 1 .. 6;
my ($sent, $same) = ('', 0);
ok( poll(
		sub {
			my ($lsn, $behind) = split /\|/, $source->psql('postgres',
				'select sent_lsn, pg_current_wal_lsn() - sent_lsn > 1000000 '
				  . 'from pg_stat_replication');
			$same = $lsn eq $sent && $behind eq 't' ? $same + 1 : 0;
			$sent = $lsn;
			return $same == 20;
		},
		60),
	'a store that stands still stops the receiver')
  or diag substr $run->errors, -2000;
memory_below($run, 64);
kill 'CONT', $fake->{pid};
check_lake('a store that stood still');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my ($buffers) = $run->errors =~ /buffers_peak=(\d+)/;
cmp_ok($buffers // 1 << 40, '<=', $limit, 'memory.limit is kept');
note("buffers $buffers");
is($seen_twice, 0, 'no row is in the log twice');

# A store that is slow while run ends is nothing to warn of.
$logs .= $run->errors;
$fake->clear;
$fake->fault(match => qr{^GET .*_cdc/log/0{20}\.json}, stall => 1, times => 0);
$run = $cdc->start;
ok(poll(sub { $run->errors =~ /event=streaming / && grep { /0{20}\.json/ } $fake->requests }, 60),
	'run streams, and reads the first entry') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'and is ended meanwhile');
unlike($run->errors, qr/level=warn/, 'which is no warning')
  or diag $run->errors;
$fake->clear;

# One warning at the beginning of an outage, and no secret ever.
$logs .= $run->errors;
like($logs, qr/level=warn event="store call failed, trying again"/, 'an outage is logged');
like($logs, qr/store answers again/, 'and its end');
unlike($logs, qr/SECRETKEY|TOKENone|TOKENtwo|AWS4-HMAC|Signature=/,
	'no secret is in the log');
unlike($logs, qr/authorization/i, 'and no header that holds one');

done_testing();
