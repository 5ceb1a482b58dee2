#-------------------------------------------------------------------------
# deploy/prometheus and deploy/grafana: rules that promtool takes and its unit
# tests, a section of the runbook for each alert, and no metric in them that is
# not told, in the documentation too.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Prometheus;
use CdcS3::Test;

my $top = top_folder();
my $alerts = slurp("$top/deploy/prometheus/alerts.yaml");
my $tests = slurp("$top/test/prometheus/alerts_test.yaml");
my $runbook = slurp("$top/doc/runbook.md");
my $doc = slurp("$top/doc/metrics.md");
my $board = slurp("$top/deploy/grafana/cdc-s3.json");

SKIP:
{
	CdcS3::Prometheus::promtool() or skip CdcS3::Prometheus::missing(), 2;
	my $r = CdcS3::Prometheus::call('check', 'rules', "$top/deploy/prometheus/alerts.yaml");
	is($r->{code}, 0, 'promtool check rules') or diag $r->{out} . $r->{err};
	$r = CdcS3::Prometheus::call('test', 'rules', "$top/test/prometheus/alerts_test.yaml");
	is($r->{code}, 0, 'promtool test rules') or diag $r->{out} . $r->{err};
}

# Each alert.
my @names = $alerts =~ /- alert: (\w+)/g;
cmp_ok(scalar @names, '>=', 10, 'there are alerts');
my @rules = split /- alert: /, $alerts;
shift @rules;
for my $rule (@rules)
{
	my ($name) = $rule =~ /^(\w+)/;
	like($runbook, qr/^## \Q$name\E$/m, "$name: a section of the runbook");
	like($rule, qr/runbook: doc\/runbook\.md#\L$name\E$/m, "$name: names it");
	like($rule, qr/severity: (?:warning|critical)/, "$name: how severe");
	like($tests, qr/alertname: $name\n\s+exp_alerts/, "$name: is tested to fire");
}
for my $section ($runbook =~ /^## (\w+)$/mg)
{
	ok((grep { $_ eq $section } @names), "$section of the runbook is an alert");
}
for my $test ($runbook =~ m{`(test/t/\w+\.pl)`}g)
{
	ok(-e "$top/$test", "$test of the runbook is there");
}

# Metrics: told, documented, and no others used.
my $source = slurp("$top/uploader/serve/metrics.c");
my %told = map { $_ => 1 } $source =~ /"((?:cdc_s3|process)_\w+)"/g;
cmp_ok(scalar keys %told, '>=', 50, 'metrics are told');
like($doc, qr/`\Q$_\E`/, "$_ is in doc/metrics.md") for sort keys %told;
my %documented = map { $_ => 1 } $doc =~ /`((?:cdc_s3|process)_\w+)`/g;
for my $name (sort keys %documented)
{
	ok($told{$name}, "$name of doc/metrics.md is told") unless $name eq 'cdc_s3';
}
my $decoded = JSON::PP->new->utf8->decode($board);
cmp_ok(scalar @{ $decoded->{panels} }, '>=', 15, 'the dashboard has panels');
my %ids = map { $_->{id} => 1 } @{ $decoded->{panels} };
is(scalar keys %ids, scalar @{ $decoded->{panels} }, 'each with a number of its own');
my @exprs = map { $_->{expr} } map { @{ $_->{targets} } } @{ $decoded->{panels} };
for my $text ([ 'the dashboard', join(' ', @exprs) ], [ 'the alerts', $alerts ])
{
	my %used = map { s/_(?:bucket|sum|count)$//r => 1 } $text->[1] =~ /\b(cdc_s3_\w+|process_\w+)/g;
	is_deeply([ grep { !$told{$_} } sort keys %used ], [], "$text->[0]: metrics that are told only");
}

done_testing();
