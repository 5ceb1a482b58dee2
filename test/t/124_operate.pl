#-------------------------------------------------------------------------
# What a person at the machine needs: settings in force and where each comes
# from, an example, ping, manual pages and completions that know each setting,
# and a log in a file that can be moved away, also with the names of ECS.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Proc qw(capture free_port temp_folder);
use CdcS3::Test;

my $folder = temp_folder();
my $json = JSON::PP->new->utf8;

sub write_file
{
	my ($name, $text) = @_;
	open my $f, '>', "$folder/$name" or die "$name: $!\n";
	print $f $text;
	close $f or die "$name: $!\n";
	return "$folder/$name";
}

# The names of all settings, from the table of the documentation.
my @names = run_cdc('help', '--markdown')->{out} =~ /^\| `(\S+?)`/mg;
cmp_ok(scalar @names, '>', 50, 'there are settings');
my @of_outputs = grep { /\.NAME\./ } @names;    # of any name
@names = grep { !/\.NAME\./ } @names;

# config
my $conf = write_file('cdc-s3.conf', <<'CONF');
[source]
conninfo = host=db dbname=shop password=topsecret
[store]
url = s3://bucket/file
[flush]
interval = 90s
[http]
token = alsosecret
CONF
my %env = (CDC_S3_FLUSH_BYTES => '1MB', CDC_S3_STORE_URL => 's3://bucket/variable', CDC_S3_LOG_KEY => 'x' x 20);
my $r = run_cdc('config', '--config', $conf, '--store.url=s3://bucket/flag', { env => \%env });
is($r->{code}, 0, 'config') or diag $r->{err};
like($r->{out}, qr{^store\.url = s3://bucket/flag  # flag$}m, 'a flag goes before all');
like($r->{out}, qr/^flush\.bytes = 1MB  # variable CDC_S3_FLUSH_BYTES$/m, 'a variable');
like($r->{out}, qr/^flush\.interval = 90s  # line 6 of "\Q$conf\E"$/m, 'a line of the file');
like($r->{out}, qr/^flush\.interval|^source\.slot = cdc_s3  # default$/m, 'a default');
like($r->{out}, qr/^source\.conninfo = \*\*\*  # line 2 of/m, 'a connection string with a password is hidden');
unlike($r->{out}, qr/topsecret|alsosecret|xxxx/, 'no secret is shown');
is(scalar(grep { $r->{out} !~ /^\Q$_\E = /m } @names), 0, 'each setting is there');
$r = run_cdc('config', '--json', '--config', $conf, { env => \%env });
my $c = $json->decode($r->{out});
is($c->{'flush.bytes'}{value}, '1MB', 'as JSON: value');
is($c->{'flush.bytes'}{from}, 'variable CDC_S3_FLUSH_BYTES', 'and where from');
is($c->{'http.token'}{value}, '***', 'secrets hidden');
is(scalar(keys %$c), scalar @names, 'all of them');
$r = run_cdc('config', '--output.report.url=s3://other/x', '--output.report.format=csv');
like($r->{out}, qr/^output\.report\.format = csv  # flag$/m, 'settings of a further output');
like($r->{out}, qr/^output\.report\.compression = zstd  # as output\.compression$/m, 'and those that it has not said');
is(scalar(() = $r->{out} =~ /^output\.report\./mg), scalar @of_outputs, 'all of them');
is(run_cdc('config')->{code}, 0, 'it needs no lake');
is(run_cdc('run')->{code}, 2, 'what does, says so');

# init --example
$r = run_cdc('init', '--example');
is($r->{code}, 0, 'init --example') or diag $r->{err};
my $example = write_file('example.conf', $r->{out});
is(scalar(grep { length > 80 } split /\n/, $r->{out} =~ s/^#?\w+ = .*$//mgr), 0, 'no line is long');
my $of_example = $json->decode(run_cdc('config', '--json', '--config', $example)->{out});
my $of_none = $json->decode(run_cdc('config', '--json')->{out});
is($of_example->{'store.url'}{value}, 's3://my-bucket/my-prefix', 'it can be read');
is_deeply([ grep { $of_example->{$_}{value} ne $of_none->{$_}{value} } @names ], ['store.url'], 'and all else is as without it');
my $all = write_file('all.conf', $r->{out} =~ s/^#(\w+ =)/$1/mgr);
$r = run_cdc('config', '--json', '--config', $all);
is($r->{code}, 0, 'each comment is a setting') or diag $r->{err};
is(scalar(grep { $json->decode($r->{out})->{$_}{from} eq 'default' } @names), 0, 'every one of them');

# Manual and completions.
for my $form ([ '--man', undef ], [ '--man-conf', 1 ], [ '--bash', 1 ], [ '--zsh', 1 ])
{
	my $text = run_cdc('help', $form->[0])->{out};
	$text =~ s/\\-/-/g;
	is(scalar(grep { $text !~ /\Q$_\E/ } @names), 0, "help $form->[0]: each setting") if $form->[1];
	is(scalar(grep { $text !~ /\Q$_\E/ } @of_outputs), 0, "and of further outputs")
	  if $form->[0] eq '--man-conf';
	for my $command (qw(init run merge check snapshot ls replay ddl config ping))
	{
		last if $form->[0] eq '--man-conf';
		like($text, qr/\b$command\b/, "help $form->[0]: $command");
	}
}
SKIP:
{
	capture([ 'sh', '-c', 'command -v groff' ])->{code} and skip 'missing: groff', 2;
	for my $form (qw(--man --man-conf))
	{
		my $page = write_file('page', run_cdc('help', $form)->{out});
		my $g = capture([ 'groff', '-man', '-Tutf8', '-ww', '-z', $page ]);
		is($g->{code} . $g->{err}, '0', "groff takes $form");
	}
}
my $bash = write_file('bash', run_cdc('help', '--bash')->{out});

sub complete
{
	my (@words) = @_;
	my $quoted = join ' ', map { "'$_'" } 'cdc-s3', @words;
	my $b = capture([
		'bash', '-c',
		"compopt() { :; }; . '$bash'; COMP_WORDS=($quoted); COMP_CWORD=" . scalar(@words)
		  . '; _cdc_s3; printf "%s\n" "${COMPREPLY[@]}"'
	]);
	is($b->{err}, '', "bash completes @words");
	return split /\n/, $b->{out};
}
is_deeply([ complete('me') ], ['merge'], 'a command');
is_deeply([ complete('run', '--output.form') ], ['--output.format='], 'a setting');
is_deeply([ sort(complete('run', '--output.format', '=', '')) ], [qw(csv json parquet)], 'its values');
is_deeply([ complete('merge', '--pl') ], ['--plan'], 'an option of the command');
is_deeply([ complete('run', '--pl') ], [], 'and of no other');
SKIP:
{
	capture([ 'sh', '-c', 'command -v zsh' ])->{code} and skip 'missing: zsh', 1;
	my $zsh = write_file('_cdc-s3', run_cdc('help', '--zsh')->{out});
	is(capture([ 'zsh', '-n', $zsh ])->{code}, 0, 'zsh reads its completion');
}

# A log in a file; ping.
my $source = new_cluster('source')->start;
my $log = "$folder/run.log";
my $port = free_port();
my $cdc = sidecar($source, 'postgres', file_store(),
	flags => [ "--log.file=$log", "--http.listen=127.0.0.1:$port", '--log.format=json', '--load.mode=never' ]);
$r = run_cdc('ping', "--http.listen=127.0.0.1:$port");
is($r->{code}, 75, 'ping: nobody is there');
is(run_cdc('ping')->{code}, 2, 'ping: nobody is named');
$cdc->ok('init');
my $run = $cdc->start;
ok(poll(sub { -e $log && slurp($log) =~ /"message":"streaming"/ }, 60), 'the log is in its file')
  or diag $run->errors;
is($run->errors, '', 'and nowhere else');
is(run_cdc('ping', "--http.listen=127.0.0.1:$port")->{code}, 0, 'ping: alive');
is(run_cdc('ping', "--http.listen=0.0.0.0:$port")->{code}, 0, 'ping: where it listens on all addresses, too');
my $line = $json->decode((split /\n/, slurp($log))[0]);
is($line->{'service.name'}, 'cdc-s3', 'names of ECS');
like($line->{'@timestamp'}, qr/^\d{4}-\d\d-\d\dT/, 'its time');
is($line->{'log.level'}, 'info', 'its level');
rename $log, "$log.1" or die "rename: $!\n";
$run->signal('HUP');
ok(poll(sub { -e $log && slurp($log) =~ /"message":"configuration reloaded"/ }, 60), 'HUP opens it anew');
like(slurp("$log.1"), qr/"message":"streaming"/, 'what was written before is where it was moved');
ok($cdc->wait_durable(90), 'it streams');
is($run->stop('TERM', 60), 0, 'run ends with 0');
like(slurp($log), qr/"message":"stopped"/, 'and says so there');
is($cdc->call('run', '--log.file=/nothing/here')->{code}, 2, 'a file that cannot be is refused');

done_testing();
