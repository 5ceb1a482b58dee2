#-------------------------------------------------------------------------
# check reads the bucket's lifecycle rules, and names those that would break the
# lake: what touches _cdc/, and what takes data away.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Lake;
use CdcS3::Test;

my $json = JSON::PP->new->utf8;
my $source = new_cluster('source')->start;
my $fake = CdcS3::FakeS3->start;
my $cdc = sidecar($source, 'postgres',
	{ url => 's3://lake/cdc/', folder => undef, flags => [ '--store.endpoint=' . $fake->endpoint ], env => $fake->env });
$cdc->ok('init');

# The findings on rules, and the exit code.
sub found
{
	my ($rules, @flags) = @_;
	$fake->set(lifecycle => $rules && "<LifecycleConfiguration>$rules</LifecycleConfiguration>");
	my $r = $cdc->call('check', '--json', '--no-race', @flags);
	return ($r, grep { $_->{name} eq 'lifecycle' } map { $json->decode($_) } split /\n/, $r->{out});
}

sub rule
{
	my ($id, $prefix, $what) = @_;
	return "<Rule><ID>$id</ID><Status>Enabled</Status><Filter><Prefix>$prefix</Prefix></Filter>$what</Rule>";
}
my $days = sub { "<Expiration><Days>$_[0]</Days></Expiration>" };

my ($r, @f) = found(undef);
is($r->{code}, 0, 'no rules: exit code') or diag $r->{out}, $r->{err};
is(scalar @f, 1, 'no rules: said');
is($f[0]{level}, 'ok', 'no rules: all is well');
($r, @f) = found(rule(others => 'logs/', $days->(1)) . rule(uploads => '', '<AbortIncompleteMultipartUpload>'
	. '<DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>'));
is($f[0]{level}, 'ok', 'rules for others');

($r, @f) = found(rule(all => '', $days->(3650)));
is($r->{code}, 5, 'a rule for all: exit code');
like($f[0]{what}, qr/rule "all" expires what lies in _cdc\/ after 3650 days/, 'it is named');
($r, @f) = found(rule(log => 'cdc/_cdc/', '<Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>'));
is($r->{code}, 5, 'the log to an archive: exit code');
like($f[0]{what}, qr/rule "log" archives/, 'it is named');
($r, @f) = found(rule(data => 'cdc/public/', $days->(30)) . rule(more => 'cdc/a', $days->(7)));
is($r->{code}, 0, 'data: a warning only') or diag $r->{err};
is_deeply([ map { $_->{level} } @f ], [ 'warning', 'warning' ], 'each is named');
like($f[0]{mend}, qr/lake\.retention/, 'with the mend');
my $tag = '<Rule><ID>t</ID><Status>Enabled</Status><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>'
  . $days->(1) . '</Rule>';
($r, @f) = found($tag);
is($f[0]{level}, 'ok', 'a rule for tags that we do not set');
($r, @f) = found($tag, '--store.tags=k=v');
is($f[0]{level}, 'error', 'and for such as we do');

# What a target needs is older than the rule allows.
my $needs = sub {
	my ($entry) = @_;
	return $json->encode({ version => 1, target => 'shop at db', entry => 0, needs => $entry, time => '2026-01-01T00:00:00Z' });
};
my $put = sub { $fake->place("cdc/_cdc/$_[0]", $_[1]) };
$put->('target/00000000000000aa-0000000000000001.json', $needs->(0));
($r, @f) = found(rule(data => 'cdc/public/', $days->(1)));
is($f[0]{level}, 'warning', 'what is needed is of today');
my $entry = $json->decode($fake->objects->{'cdc/_cdc/log/00000000000000000000.json'});
delete $entry->{crc32c};
$entry->{time} = '2026-01-01T00:00:00Z';
$put->('log/00000000000000000000.json', CdcS3::Lake::seal($json->encode($entry)));
($r, @f) = found(rule(data => 'cdc/public/', $days->(1)));
is($f[0]{level}, 'error', 'what is needed is older than the rule allows');
is($r->{code}, 5, 'exit code');

# They cannot be read.
$fake->fault(match => qr/^GET \/lake\/?\?lifecycle/, status => 403, code => 'AccessDenied', times => 0);
($r, @f) = found(undef);
is($f[0]{level}, 'warning', 'not allowed: a warning') or diag $r->{out};
like($f[0]{mend}, qr/s3:GetLifecycleConfiguration/, 'with the mend');
$fake->clear;
$fake->fault(match => qr/^GET \/lake\/?\?lifecycle/, status => 501, code => 'NotImplemented', times => 0);
($r, @f) = found(undef);
is($f[0]{level}, 'ok', 'a server that knows none');
($r, @f) = found('<Rule><ID>x</ID><Status>Enabled</Status><Expiration><Days>x</Days></Expiration></Rule>');
ok(@f == 1, 'one finding');
$fake->clear;
($r, @f) = found('<Rule><ID>x</ID><Status>Enabled</Status><Expiration><Days>x</Days></Expiration></Rule>');
is($f[0]{level}, 'warning', 'not understood: a warning');
is($cdc->call('check', '--json', '--no-race', '--store.url=file:///tmp')->{out} =~ /"lifecycle"/, '', 'a folder has no rules');

done_testing();
