#-------------------------------------------------------------------------
# doc/types.md, row by row, through Parquet objects: 027_types.pl with another
# format.  The lines that replay prints are those of the json format, and the
# target has the source's values.
#-------------------------------------------------------------------------
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

use CdcS3::Sidecar;

$ENV{CDCS3_TEST_FLAGS} = '--output.format=parquet --output.compression=snappy';

# What is written is what was asked for.
my $start = \&CdcS3::Sidecar::replay;
{
	no warnings 'redefine';
	*CdcS3::Sidecar::replay = sub {
		my ($self, @args) = @_;
		my @objects = glob "$self->{store}{folder}/public/type_1/*/*/*/*/*";
		Test::More::cmp_ok(scalar @objects, '>', 0, 'there are objects');
		Test::More::is(scalar(grep { !/\.parquet$/ } @objects), 0, 'all of them Parquet');
		return $start->($self, @args);
	};
}

my $file = dirname(abs_path(__FILE__)) . '/027_types.pl';
defined(do $file) or die $@ || "$file: $!";
