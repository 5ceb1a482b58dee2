#-------------------------------------------------------------------------
# Parquet objects as other readers see them: what test/unit/test_parquet.c
# writes, read by pyarrow and DuckDB, value by value, with the bounds and the
# page index (test/engines/check_parquet.py).
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Engines qw(have_engines engines_missing engines_python);
use CdcS3::Proc qw(capture temp_folder);
use CdcS3::Test;

plan skip_all => engines_missing() unless have_engines();

my $top = top_folder();
my $out = temp_folder() . '/parquet';
mkdir $out or die "$out: $!";

my $r = capture([ qw(make -s -C uploader unit/test_parquet) ], cwd => $top);
is($r->{code}, 0, 'the writer is built') or diag $r->{err};

$ENV{CDC_S3_PARQUET_OUT} = $out;
$r = capture(["$top/uploader/unit/test_parquet"]);
is($r->{code}, 0, 'it writes') or diag $r->{out}, $r->{err};

my @objects = glob "$out/*.parquet";
cmp_ok(scalar @objects, '>', 10, 'objects of many kinds');

$r = capture([ engines_python(), "$top/test/engines/check_parquet.py", $out, "$top/doc/parquet.md" ]);
is($r->{code}, 0, 'pyarrow and DuckDB read what was written') or diag $r->{out}, $r->{err};
like($r->{out}, qr/^\d+ objects, 0 complaints$/m, 'and no value is another');

done_testing();
