#-------------------------------------------------------------------------
# Our signatures are botocore's, for ten thousand random keys.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

use CdcS3::Proc qw(capture);
use CdcS3::S3Server qw(installed);
use CdcS3::StoreTool qw(build_tool);

# It comes with moto.
my $moto = installed('moto') or plan skip_all => CdcS3::S3Server::why();
my $python = dirname($moto) . '/bin/python';

my $script = abs_path(dirname(__FILE__) . '/../s3/botocore_sigv4.py');
my $r = capture([ $python, $script, build_tool('sigv4_tool'), 10_000 ]);
is($r->{code}, 0, '10,000 signatures are equal') or diag "$r->{out}$r->{err}";
like($r->{out}, qr/10000 signatures, 0 differ/, 'all were compared');

done_testing();
