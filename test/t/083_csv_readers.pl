#-------------------------------------------------------------------------
# Python's csv module, DuckDB and pyarrow read each value of 20,000 rows of
# hostile text as the format csv wrote it, with the settings of doc/csv.md.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

use CdcS3::Engines qw(have_engines engines_missing engines_python);
use CdcS3::Proc qw(capture temp_folder);

plan skip_all => engines_missing() unless have_engines();

my $top = abs_path(dirname(__FILE__) . '/../..');
my $folder = temp_folder();

# The unit test makes the rows, and leaves them where it is told to.
my $r = capture([ qw(make -s -C uploader unit/test_csv) ], cwd => $top);
is($r->{code}, 0, 'the unit test is built') or diag $r->{err};
$r = capture([ 'env', "CSV_TEST_OUT=$folder", "$top/uploader/unit/test_csv" ]);
is($r->{code}, 0, 'the unit test made the rows') or diag $r->{err};
my @files = glob "$folder/*.csv";
is(scalar @files, 8, 'in eight ways');

$r = capture([ engines_python(), "$top/test/engines/csv_readers.py", $folder ]);
is($r->{code}, 0, 'readers ran') or diag $r->{err};
my %seen;
for my $line (split /\n/, $r->{out})
{
	my ($reader, $rows, $of, $differ) =
	  $line =~ /^(\w+) \d+: (\d+) of (\d+) rows, (\d+) differ/;
	ok(defined $reader && $rows == $of && $differ == 0, $line);
	$seen{ $reader // '' }++;
}
is_deeply(
	\%seen,
	{ python => 8, duckdb => 8, pyarrow => 8, lines => 3 },
	'each reader read each file');

done_testing();
