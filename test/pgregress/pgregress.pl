#-------------------------------------------------------------------------
# PostgreSQL's regression suite as the workload of a streamed source: run must
# not stop, merges go on beside it, and in the end every table of the source is
# equal at the target or there is a record that says why it is not.
#
#	bash test/pgregress.sh [plain|full ...]
#
# "plain" is the suite as it is: many of its tables have no key, and what
# changes in them cannot be told.  "full" gives each new table without one
# REPLICA IDENTITY FULL.  Without an argument both are done, one after the
# other.
#
# A table that differs must be in cdc_s3.rejected or cdc_s3.resync, or its
# definition has changed in a way that merge does not follow yet, as event
# triggers of ours saw it (CdcS3::PgRegress::why_not_followed).  One that
# differs for none of these reasons fails the test.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::PgRegress;
use CdcS3::Test;

my @ways = @ARGV ? @ARGV : qw(plain full);
for my $way (@ways)
{
	die "usage: pgregress.sh [plain|full ...]\n" unless $way =~ /^(?:plain|full)$/;
	subtest $way => sub {
		my $t = CdcS3::PgRegress->new($way);
		$t->start;
		my $n = $t->workload;
		cmp_ok($n->{done}, '>', 150, "$n->{done} files of the suite ran");
		ok($t->{cdc}{run}->alive, 'run runs') or diag $t->{cdc}{run}->errors;
		ok($t->settle, 'all that the source did is in the lake');
		is($t->{cdc}{run}->stop('TERM', 60), 0, 'run ends when asked to');
		my $last = $t->merge;
		like($last->{code}, qr/^[08]$/, 'the last merge passes')
		  or diag $last->{err};
		is(join("\n", @{ $t->{stuck} }), '',
			"none of $t->{merges} merges is refused");
		my $r = $t->compare;
		is(join("\n", @{ $r->{unsaid} }), '',
			'no table differs without a record of it');
		diag $t->report($r);
		$t->stop;
	};
}
done_testing();
