#-------------------------------------------------------------------------
# CdcS3::Prometheus
#	promtool, which says whether metrics and rules are what Prometheus takes.
#	test/deps-prometheus.sh brings it.
#-------------------------------------------------------------------------
package CdcS3::Prometheus;
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

use CdcS3::Proc qw(capture temp_folder);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my $path;

# Its path; undef where it is not there.
sub promtool
{
	if (!defined $path)
	{
		$path = capture([ 'sh', "$top/test/deps-prometheus.sh", '--path' ])->{out};
		chomp $path;
	}
	return -x $path ? $path : undef;
}

sub missing { return 'missing: promtool (test/deps-prometheus.sh brings it)' }

# { code, out, err } of "promtool ...".
sub call
{
	my (@args) = @_;
	return capture([ promtool(), @args ]);
}

# The same of "check metrics" on a text.
sub check_metrics
{
	my ($text) = @_;
	my $file = temp_folder() . '/metrics';
	open my $f, '>', $file or die "$file: $!\n";
	print $f $text;
	close $f or die "$file: $!\n";
	return capture([ 'sh', '-c', '"$1" check metrics <"$2"', 'sh', promtool(), $file ]);
}

1;
