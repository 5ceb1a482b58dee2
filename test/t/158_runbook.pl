#-------------------------------------------------------------------------
# doc/runbook.md: a section for each alert, each exit code, and each word of
# /readyz; each names a test that is there and looks at just that; what it links
# to, and the commands and settings that it names, exist.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

my $top = top_folder();
my $runbook = slurp("$top/doc/runbook.md");
my %section;
while ($runbook =~ /^## ([^\n]+)\n(.*?)(?=^## |\z)/msg)
{
	ok(!exists $section{$1}, "one section \"$1\"");
	$section{$1} = $2;
}
my %source;
sub source_of
{
	my ($test) = @_;
	return $source{$test} //= -e "$top/$test" ? slurp("$top/$test") : '';
}
sub tests_of { return $section{ $_[0] } =~ m{`(test/t/\w+\.pl)`}g }

# Each section is provoked.
for my $name (sort keys %section)
{
	my ($sentence) = $section{$name} =~ /(Provoked by .*)/s;
	ok($sentence && $sentence =~ m{`test/t/\w+\.pl`}, "$name: names its test");
	ok(-e "$top/$_", "$name: $_ is there") for tests_of($name);
	ok(length $section{$name} > 200, "$name: says more than that");
}

# Alerts: the test has the alert fire on what was scraped, or its metrics, or it
# tries the rule.
my $alerts = slurp("$top/deploy/prometheus/alerts.yaml");
my %rule = $alerts =~ /- alert: (\w+)\n\s+expr: (.*?)\n\s+(?:for|labels): /sg;
my %elsewhere = (
	CdcS3Down => 'no process',
	CdcS3SlotLost => 'exit code 3',
	CdcS3CredentialsExpire => 'the credentials',
	CdcS3HoursNotClosed => 'the rule');
for my $name (sort keys %rule)
{
	ok($section{$name}, "$name: a section") or next;
	next if $elsewhere{$name};
	my @words = ($name, $rule{$name} =~ /\bcdc_s3_(\w+)/g);
	ok((grep { my $text = source_of($_); grep { $text =~ /\Q$_\E/ } @words } tests_of($name)),
		"$name: a test looks at it");
}
ok((grep { $rule{$_} } keys %elsewhere) == keys %elsewhere, 'what is provoked elsewhere are alerts');

# Exit codes.
my ($kinds) = slurp("$top/uploader/base/err.c") =~ /kinds\[ERR_KINDS\] = \{(.*?)\n\};/s;
my %code = map { $_ => 1 } grep { $_ } $kinds =~ /"\w+", (\d+), /g;
cmp_ok(scalar keys %code, '>=', 9, 'there are exit codes');
for my $code (sort { $a <=> $b } keys %code)
{
	my $name = "Exit code $code";
	ok($section{$name}, "$name: a section") or next;
	ok((grep { source_of($_) =~ /[(,\[ ]$code\b/ && source_of($_) =~ /\{code\}|wait\(|stop\(|exit/ } tests_of($name)),
		"$name: a test provokes it");
}
for (grep { /^Exit code/ } keys %section)
{
	my ($code) = /(\d+)/;
	ok($code{$code}, "exit code $code is one");
}

# Words of /readyz.
my $view = slurp("$top/uploader/serve/view.c");
my %word = map { $_ => 1 } $view =~ /(?:return |\? NULL : )"(\w+)"/g;
ok($word{behind} && $word{starting}, 'there are words');
like($section{CdcS3NotReady}, qr/^\| `$_` \|/m, "the word $_ is explained") for sort keys %word;

# What it names.
my %anchor = map { lc(s/ /-/gr) => 1 } keys %section;
ok($anchor{$_}, "link to #$_") for $runbook =~ /\]\(#([\w-]+)\)/g;
ok(-e "$top/doc/$_", "link to $_") for $runbook =~ /\]\((\w[\w-]*\.md)[)#]/g;
my $help = capture([ CdcS3::Sidecar::program(), 'help' ])->{out};
my %command = map { $_ => 1 } $help =~ /^  (\w+) /mg;
ok($command{$_}, "the command $_ exists") for $runbook =~ /`cdc-s3 (\w+)/g;
my $settings = capture([ CdcS3::Sidecar::program(), 'help', '--markdown' ])->{out};
for my $name ($runbook =~ /`((?:source|store|output|load|merge|memory|flush|http|metrics)\.\w+)/g)
{
	next if $name =~ /\.(?:md|listen)$/;
	like($settings, qr/^\| `\Q$name\E`/m, "the setting $name exists");
}

done_testing();
