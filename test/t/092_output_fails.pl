#-------------------------------------------------------------------------
# A further output whose store fails: it holds the stream, as the lake's store
# does, or is detached after a time; then the stream goes on, the log says up
# to where the output is whole, and the exit code tells.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Test;

my $source = new_cluster('source')->start;
$source->psql('postgres', 'create database work');
$source->psql('work',
	'create table t (id bigint primary key, note text); '
	  . "insert into t select i, 'a' || i from generate_series(1, 300) i");
my $next = 1000;

my $fake = CdcS3::FakeS3->start;
my @output = (
	'--output.report.url=s3://lake/report',
	'--output.report.endpoint=' . $fake->endpoint,
	'--output.report.format=csv', '--output.report.compression=none');
my @detach =
  (@output, '--output.report.on_failure=detach', '--output.report.detach_after=1s');
my $cdc = sidecar(
	$source, 'work', file_store(),
	flags => ['--flush.interval=1s'],
	env => $fake->env);

sub change
{
	my ($rows) = @_;
	my $to = $next + ($rows // 100) - 1;
	$source->psql('work',
		"insert into t select i, repeat('b', 50) || i "
		  . "from generate_series($next, $to) i");
	$next = $to + 1;
	return;
}

sub state_now
{
	my ($o) = @{ $cdc->last_entry->{outputs} // [] };
	return $o // { state => 'none' };
}

sub replay { return [ split /\n/, $cdc->ok('replay', @output, @_) ] }
sub lsn { return sprintf '%X/%X', unpack 'NN', pack 'H16', $_[0] }

# The lake from where the output was attached to where it is whole.
sub wanted
{
	my ($o) = @_;
	my @range = $o->{filled} ? () : ('--from=' . lsn($o->{first_lsn}));
	push @range, '--to=' . lsn($o->{last_lsn}) if $o->{last_lsn};
	return replay(@range);
}

# All entries and their objects: none is listed that is not there.
sub lost_objects
{
	my %stored = map { $_ => 1 } $fake->keys_stored;
	my ($since) = map { $_->{since_entry} } state_now();
	return grep { !$stored{"report/$_"} && !$stored{"lake/report/$_"} }
	  map { $_->{key} } map { @{ $_->{output_objects} // [] } }
	  grep { $_->{entry} >= ($since // 0) } $cdc->entries;
}

sub findings
{
	my ($level, @flags) = @_;
	my $r = $cdc->call('check', '--json', '--no-race', '--load.mode=never', @flags);
	return ($r->{code}, grep { /"level":"$level","name":"output/ } split /\n/, $r->{out});
}

# check tests its store as the lake's, and leaves nothing there.
my ($code, @found) = findings('ok', @output);
like("@found", qr{"output report".*s3://lake/report.*attaches it}, 'check: it is tested');
is_deeply([ $fake->keys_stored ], [], 'check: and nothing is left');
$fake->fault(match => qr/^DELETE /, status => 403, code => 'AccessDenied', times => 0);
($code, @found) = findings('warning', @output);
like("@found", qr/s3:DeleteObject/, 'check: who may not delete is warned');
is($code, 0, 'check: as of the lake');
$fake->clear;
$fake->fault(match => qr/^PUT /, status => 403, code => 'AccessDenied', times => 0);
($code, @found) = findings('error', @output);
like("@found", qr/s3:PutObject/, 'check: a right that is missing is named');
is($code, 6, 'check: and an error');
($code, @found) = findings('error', "--output.x.url=$cdc->{store}{url}");
like("@found", qr/one place/, 'check: places that are not apart');
$fake->clear;

$cdc->ok('init');

# hold: nothing is confirmed until the output has it, too.
my $run = $cdc->start(@output);
ok($cdc->wait_loaded, 'the table is loaded') or diag $run->errors;
$fake->fault(match => qr/^(?:PUT|POST) /, status => 503, code => 'SlowDown', times => 0);
my $before = replay();
change();
ok(poll(sub { $run->errors =~ /store call failed/ }, 60), 'hold: it is told');
ok(!$cdc->wait_durable(3), 'hold: nothing is confirmed');
is_deeply(replay(), $before, 'hold: no entry has them');
$fake->clear;
ok($cdc->wait_durable(120), 'hold: it goes on when the store is back')
  or diag $run->errors;
is_deeply(replay('--output=report'), replay(), 'hold: the output has all');
is($run->stop('TERM', 60), 0, 'hold: exit 0');

# What is refused for good ends run, as of the lake.
$fake->fault(match => qr/^PUT /, status => 403, code => 'AccessDenied', times => 0);
$run = $cdc->start(@output);
change();
$code = $run->wait(120);
is($code, 6, 'hold: a refusal is exit 6') or diag $run->errors;
like($run->errors, qr/output "report".*AccessDenied/s, 'hold: and names the output');

# The same output may be detached: the stream goes on.
$run = $cdc->start(@detach);
ok($cdc->wait_durable(120), 'detach: the stream goes on') or diag $run->errors;
like($run->errors, qr/level=warn event="output fails.*report/, 'detach: a warning that it fails');
like($run->errors, qr/level=warn event="output detached.*report/, 'detach: and that it is detached');
my $o = state_now();
is($o->{state}, 'detached', 'detach: the log says so');
change();
ok($cdc->wait_durable, 'detach: more is durable');
is(state_now()->{last_lsn}, $o->{last_lsn}, 'detach: and it stays where it was');
is($run->stop('TERM', 60), 8, 'detach: exit 8') or diag $run->errors;
like($run->errors, qr/output "report" was detached/, 'detach: with the reason');
$fake->clear;
($code, @found) = findings('warning', @output);
like("@found", qr/was detached at/, 'check: warns that it is detached');
is_deeply([ lost_objects() ], [], 'detach: what is listed is there');
is_deeply(replay('--output=report'), wanted($o), 'detach: whole up to there');
ok(@{ replay() } > @{ wanted($o) }, 'detach: the lake has more');

# The next start attaches it anew, and what was left is swept.
my $end = $cdc->last_entry;
$run = $cdc->start(@detach);
change();
ok($cdc->wait_durable, 'anew: changes are durable') or diag $run->errors;
$o = state_now();
is($o->{state}, 'attached', 'anew: it is attached');
is($o->{first_lsn}, $end->{end_lsn}, 'anew: from there on');
is_deeply(replay('--output=report'), wanted($o), 'anew: and has what came since');

# It fails in the middle of a large transaction, of which a part is uploaded.
$fake->fault(
	match => qr/^PUT .*partNumber/,
	skip => 1, status => 403, code => 'AccessDenied', times => 0);
change(150_000);
ok($cdc->wait_durable(180), 'large: the stream goes on') or diag $run->errors;
$o = state_now();
is($o->{state}, 'detached', 'large: the output is detached');
is($run->stop('TERM', 60), 8, 'large: exit 8');
$fake->clear;
is_deeply(replay('--output=report'), wanted($o), 'large: whole up to there');
is(scalar @{ replay() }, $source->psql('work', 'select count(*) from t'),
	'large: the lake has all');

# Killed while it fails: the time begins anew, nothing is lost.
$run = $cdc->start(@detach, '--output.report.detach_after=1h');
change();
ok($cdc->wait_durable, 'killed: it is attached') or diag $run->errors;
my $since = state_now()->{since_entry};
$fake->fault(match => qr/^PUT /, status => 500, times => 0);
change();
ok(poll(sub { $run->errors =~ /output fails/ }, 60), 'killed: it fails');
$run->stop('KILL', 60);
$run = $cdc->start(@detach, '--output.report.detach_after=1h');
ok(!$cdc->wait_durable(2), 'killed: the next one holds for its time');
$fake->clear;
ok($cdc->wait_durable(120), 'killed: and goes on') or diag $run->errors;
$o = state_now();
is($o->{since_entry}, $since, 'killed: it is the same output');
is_deeply(replay('--output=report'), wanted($o), 'killed: and has all since');
is($run->stop('TERM', 60), 0, 'killed: exit 0');

# Without credentials a store cannot even be opened; nor can a load be put.
$cdc->{env} = { AWS_EC2_METADATA_DISABLED => 'true', HOME => '/nonexistent' };
$run = $cdc->start(@output);
is($run->wait(60), 6, 'no credentials: hold is exit 6') or diag $run->errors;
$cdc->ok('snapshot', 'public.t');
$run = $cdc->start(@detach);
ok($cdc->wait_loaded, 'no credentials: the lake gets its load');
ok(poll(sub { state_now()->{state} eq 'detached' }, 120),
	'no credentials: the output is detached') or diag $run->errors;
is($run->stop('TERM', 60), 8, 'no credentials: exit 8');
is_deeply(
	[ map { @{ $_->{output_objects} // [] } } $cdc->last_entry ],
	[], 'no credentials: and has no objects');

# Credentials of its own: a profile.
my $file = temp_folder() . '/credentials';
open my $f, '>', $file or die "$file: $!";
print {$f} "[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = s\n";
close $f or die "$file: $!";
$cdc->{env}{AWS_SHARED_CREDENTIALS_FILE} = $file;
$fake->clear;
$run = $cdc->start(@output, '--output.report.profile=other');
change();
ok($cdc->wait_durable(120), 'profile: changes are durable') or diag $run->errors;
is(state_now()->{state}, 'attached', 'profile: the output is attached');
is($run->stop('TERM', 60), 0, 'profile: exit 0');
my ($put) = grep { $_->{line} =~ /^PUT .*\.csv/ } $fake->requests_whole;
like($put->{headers}{authorization}, qr{Credential=AKIDOTHER/}, 'profile: its key signs');
is_deeply(replay('--output=report', '--output.report.profile=other'),
	wanted(state_now()), 'profile: replay has it, too');

done_testing;
