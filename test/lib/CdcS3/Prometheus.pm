#-------------------------------------------------------------------------
# CdcS3::Prometheus
#	promtool, which says whether metrics and rules are what Prometheus takes.
#	test/deps-prometheus.sh brings it.
#
#	alerts_of($text)	names of the alerts of deploy/ that fire where metrics
#		stay for hours as the text has them
#	alerts_of($text, $before, $seconds)		and counters go on as they did
#		since the text before
#-------------------------------------------------------------------------
package CdcS3::Prometheus;
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

use CdcS3::Proc qw(capture slurp temp_folder);

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

# Samples of a text that the rules ask for: [name{labels}, name, value].
sub samples
{
	my ($text, $rules) = @_;
	my @found;
	while ($text =~ /^(\w+)(\{.*\})? (\S+)$/mg)
	{
		my ($name, $labels, $value) = ($1, $2 // '{}', $3);
		next if $rules !~ /\b\Q$name\E\b/ || $value =~ /Inf|NaN/;
		$labels =~ s/^\{/{job="cdc-s3",instance="a",/;
		push @found, [ $name . ($labels =~ s/,\}$/}/r), $name, $value ];
	}
	return @found;
}

sub alerts_of
{
	my ($text, $before, $seconds) = @_;
	my $file = "$top/deploy/prometheus/alerts.yaml";
	my $rules = slurp($file);
	my %was = map { $_->[0] => $_->[2] } samples($before // '', $rules);
	my @series = ('up{job="cdc-s3",instance="a"}\', values: \'1x200');
	for (samples($text, $rules))
	{
		my ($series, $name, $value) = @$_;
		# A time is as far from now as from the end of these three hours.
		$value += 3 * 3600 - time if $name =~ /_timestamp_seconds$/;
		my $grows = $name =~ /_total$/ && defined $before
		  ? '+' . ($value - ($was{$series} // 0)) * 60 / $seconds : '';
		push @series, ($series =~ s/'/''/gr) . "', values: '$value${grows}x200";
	}
	my $test = temp_folder() . '/alerts.yaml';
	open my $f, '>', $test or die "$test: $!\n";
	print $f "rule_files: ['$file']\nevaluation_interval: 1m\ntests:\n",
	  "  - interval: 1m\n    input_series:\n",
	  (map { "      - {series: '$_'}\n" } @series), "    alert_rule_test:\n",
	  (map { "      - {eval_time: 3h, alertname: $_}\n" } $rules =~ /- alert: (\w+)/g);
	close $f or die "$test: $!\n";
	my $r = call('test', 'rules', $test);
	my $said = $r->{out} . $r->{err};
	my %fire = map { $_ => 1 } $said =~ /alertname: (\w+), time: /g;
	die $said if $r->{code} && !%fire;
	return [ sort keys %fire ];
}

1;
