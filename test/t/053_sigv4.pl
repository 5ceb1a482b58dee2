#-------------------------------------------------------------------------
# Our signatures are botocore's, for ten thousand random keys.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

use CdcS3::Proc qw(capture);
use CdcS3::S3Server;
use CdcS3::StoreTool qw(build_tool);

# It comes with moto.
my $python = CdcS3::S3Server::cache_folder() . '/moto/bin/python';
plan skip_all => "no botocore: run test/deps-s3.sh moto" unless -x $python;

my $script = abs_path(dirname(__FILE__) . '/../s3/botocore_sigv4.py');
my $r = capture([ $python, $script, build_tool('sigv4_tool'), 10_000 ]);
is($r->{code}, 0, '10,000 signatures are equal') or diag "$r->{out}$r->{err}";
like($r->{out}, qr/10000 signatures, 0 differ/, 'all were compared');

done_testing();
