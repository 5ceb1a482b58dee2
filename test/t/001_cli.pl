#-------------------------------------------------------------------------
# The command line by itself: help, version, and what each mistake says.  A
# mistake is one line on stderr that names the thing, exit code 2, and
# nothing on stdout.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

my @commands = qw(init run merge check ls replay help version);

for my $how ('version', '--version', '-V')
{
	my $r = run_cdc($how);
	is($r->{code}, 0, "$how: exit code");
	like($r->{out}, qr/^cdc-s3 \d+\.\d+\.\d+\n\z/, "$how: output");
	is($r->{err}, '', "$how: nothing on stderr");
}

my $help = run_cdc('help');
is($help->{code}, 0, 'help: exit code');
for my $how ('--help', '-h')
{
	is(run_cdc($how)->{out}, $help->{out}, "$how is help");
}
like($help->{out}, qr/^  \Q$_\E +\S/m, "help lists $_") for @commands;
like($help->{out}, qr/^\[\Q$_\E\]$/m, "help lists [$_]")
  for qw(source store output flush load target merge memory log shutdown);
for my $command (grep { !/^(?:help|version)$/ } @commands)
{
	my $r = run_cdc('help', $command);
	is($r->{code}, 0, "help $command: exit code");
	like($r->{out}, qr/^Usage: cdc-s3 $command\b/m, "help $command: usage");
	is(run_cdc($command, '--help')->{out},
		$r->{out}, "$command --help is the same");
	is(run_cdc($command, '--store.url=file:///x', '--help')->{out},
		$r->{out}, "$command … --help too");
}

# Every setting of the table stands in doc/configuration.md, as printed.
my $table = run_cdc('help', '--markdown')->{out};
like($table, qr/^\| `flush\.bytes` \| `CDC_S3_FLUSH_BYTES` \| `64MB` \|/m,
	'table of settings');
my $page = slurp(top_folder() . '/doc/configuration.md');
ok(index($page, $table) >= 0, 'doc/configuration.md has the table')
  or diag 'put there what "cdc-s3 help --markdown" prints';

# fails(name, regex of the message, arguments)
sub fails
{
	my ($name, $expected, @args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = run_cdc(@args);
	is($r->{code}, 2, "$name: exit code");
	is($r->{out}, '', "$name: nothing on stdout");
	like($r->{err}, qr/^cdc-s3: [^\n]+\n\z/, "$name: one line");
	like($r->{err}, $expected, "$name: message");
	return $r;
}

my @url = ('--store.url=file:///nowhere');
fails('no command', qr/no command.*cdc-s3 help/);
fails('unknown command', qr/"chek".*"check".*init, run, merge/, 'chek');
fails('unknown command, no likeness', qr/"frobnicate".*init, run/,
	'frobnicate', @url);
fails('help of an unknown command', qr/"runn".*"run"/, 'help', 'runn');
fails('no store', qr/"store\.url" is not set.*CDC_S3_STORE_URL/, 'run');
fails('unknown setting', qr/"flush\.intervall" \(flag\).*"flush\.interval"/,
	'run', @url, '--flush.intervall=1s');
fails('unknown option', qr/"run".*"--frob"|no argument "--frob"/,
	'run', @url, '--frob');
fails('unknown option of ls', qr/"ls" has no option "--tabel".*"--table"/,
	'ls', @url, '--tabel=x');
fails('value without unit', qr/"flush\.interval".*"60".*1s to 1h/,
	'run', @url, '--flush.interval=60');
fails('value out of range', qr/"flush\.bytes".*"1kB".*64kB to/,
	'run', @url, '--flush.bytes=1kB');
fails('value not in the list', qr/"output\.compression".*"lz4".*zstd, gzip/,
	'run', @url, '--output.compression=lz4');
fails('value missing', qr/"--store\.url" needs a value/, 'run', '--store.url');
fails('bad LSN', qr/"--from".*"later".*not an LSN/,
	'replay', @url, '--from=later');
fails('too many words', qr/"replay".*"more"/, 'replay', @url, 'more');
fails('unknown scheme', qr/store\.url/, 'ls', '--store.url=gopher://x');
fails('a path for a URL', qr{file:///tmp/x}, 'ls', '--store.url=/tmp/x');

# Secrets are not taken from flags, and never repeated.
my $secret = 'correct-horse';
for my $flag (
	"--source.conninfo=host=x password=$secret",
	"--source.conninfo=postgresql://cdc:$secret\@db/shop",
	"--target.conninfo=postgresql://db/shop?password=$secret",
	"--store.url=s3://AKIA:$secret\@bucket/x",
	"--store.endpoint=https://AKIA:$secret\@minio",
	"--source.password=$secret",
	"--password=$secret")
{
	my ($name) = $flag =~ /^--([\w.]+)/;
	my $r = fails("secret in $name", qr/\Q$name\E|--password/, 'check', @url, $flag);
	unlike($r->{err}, qr/\Q$secret\E/, "secret in $name: not repeated");
}
my $r = fails('secret in a word', qr/\*\*\*/,
	'check', @url, "password=$secret");
unlike($r->{err}, qr/\Q$secret\E/, 'secret in a word: not repeated');

# The file and the environment.
my $folder = temp_folder();

sub file
{
	my ($text) = @_;
	open my $f, '>', "$folder/c.conf" or die $!;
	print $f $text;
	close $f or die $!;
	return ('--config', "$folder/c.conf");
}
fails('no file', qr{"/no/such\.conf".*No such file}, 'run', '--config',
	'/no/such.conf');
fails('unknown name in the file',
	qr/"store\.uri" \(line 3 of .*c\.conf.*"store\.url"/,
	'run', file("# mine\n[store]\nuri = s3://x/y\n"));
fails('bad value in the file', qr/"flush\.interval".*line 4 of /,
	'run', file("[store]\nurl = s3://x/y\n[flush]\ninterval = soon\n"));
fails('not a setting', qr/line 2: neither/, 'run',
	file("[store]\nwhat is this\n"));
fails('unknown variable', qr/"CDC_S3_STORE_UR".*"CDC_S3_STORE_URL"/,
	'run', @url, { env => { CDC_S3_STORE_UR => 'x' } });
fails('bad value in a variable', qr/variable CDC_S3_LOG_LEVEL.*debug, info/,
	'run', @url, { env => { CDC_S3_LOG_LEVEL => 'loud' } });

# Flag over variable over file: the one that wins is the one that fails last.
my %env = (CDC_S3_STORE_URL => "file://$folder/from-variable");
my @file = file("[store]\nurl = file://$folder/from-file\n");
mkdir "$folder/from-$_" or die $! for qw(flag variable file);
like(run_cdc('ls', @file)->{err}, qr/there is no log/, 'file is read');
for my $case (
	[ 'variable over file', {}, qr/no log/ ],
	[ 'flag over variable', { flag => 1 }, qr/no log/ ])
{
	my ($name, $o, $expected) = @$case;
	my @flag = $o->{flag} ? "--store.url=file://$folder/from-flag" : ();
	like(run_cdc('ls', @file, @flag, { env => \%env })->{err},
		$expected, $name);
}

done_testing();
