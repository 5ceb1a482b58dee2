#-------------------------------------------------------------------------
# A server that never answers, whose side still acknowledges what is sent: a
# statement of merge, check and load ends within its limit, with a line that
# says who was silent, and at TERM before that.  146 does so with the other
# statements of a merge.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);

use CdcS3::Middlebox;
use CdcS3::Test;

my $library = temp_folder() . '/pq_fault.so';
my $built = system 'cc -std=c11 -D_GNU_SOURCE -O1 -g -shared -fPIC -I"$(' . ($ENV{PG_CONFIG} // 'pg_config')
  . ' --includedir)" -o ' . "$library " . top_folder() . '/test/tools/pq_fault.c -ldl';
is($built, 0, 'the library is built') or BAIL_OUT('no library');

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$_->psql('postgres', 'create database shop') for $source, $target;
sub sql { return $source->psql('shop', $_[0]) }
sql('create table t (id int primary key); insert into t select generate_series(1, 100)');
my $cdc = sidecar($source, 'shop', file_store(), target => $target);
$cdc->ok('init');
my $n = 0;

# The first statement with these words is never answered; the path of the trace.
sub never
{
	my ($words) = @_;
	my $trace = temp_folder() . '/trace-' . ++$n;
	$cdc->{env} = { LD_PRELOAD => $library, PQ_FAULT => 'never', PQ_FAULT_LIKE => $words, PQ_FAULT_TRACE => $trace };
	return $trace;
}

sub starts
{
	my ($command, @args) = @_;
	return CdcS3::Proc::spawn(
		cmd => [ CdcS3::Sidecar::program(), $command, $cdc->flags, @args ],
		log => "$cdc->{folder}/proc-" . ++$n,
		env => $cdc->env,
		pdeathsig => 'KILL');
}

# It waits there, and ends at TERM long before any limit.
sub stops
{
	my ($p, $trace, $words, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(poll(sub { -e $trace && slurp($trace) =~ /\Q$words\E/ }, 120), "$name: the statement is sent")
	  or diag $p->errors;
	my $began = time;
	my $code = $p->stop('TERM', 100);
	cmp_ok(time - $began, '<', 90, "$name: it ends at TERM");
	return $code;
}

# ---- load ----
my $trace = never('COPY (');
my $run = $cdc->start('--flush.interval=1s');
is(stops($run, $trace, 'COPY (', 'load'), 0, 'load: with 0, since all that was received is in an entry')
  or diag $run->errors;

never('COPY (');
$run = $cdc->start('--flush.interval=1s', '--source.silence_limit=1s');
ok($cdc->wait_loaded(120), 'a load that is never answered is done by another connection') or diag $run->errors;
like($run->errors, qr/the source server says nothing, and does not work at it/, 'and run says why');
delete $cdc->{env};
is($run->stop('TERM', 100), 0, 'run ends with 0') or diag $run->errors;

# ---- merge ----
$trace = never('cdc_s3.position');
my $merge = starts('merge', '--merge.until=now');
is(stops($merge, $trace, 'cdc_s3.position', 'merge'), 75, 'merge: with 75') or diag $merge->errors;
delete $cdc->{env};

# Nobody can be asked, either: the box between takes connections and is silent.
my $box = CdcS3::Middlebox->start(to => "$target->{socket}/.s.PGSQL.$target->{port}");
$trace = never('cdc_s3.position');
$merge = starts('merge', '--merge.until=now', '--target.silence_limit=3s',
	'--target.conninfo=host=127.0.0.1 user=postgres dbname=shop sslmode=disable gssencmode=disable port=' . $box->port);
ok(poll(sub { -e $trace && slurp($trace) =~ /cdc_s3\.position/ }, 120), 'merge waits for an answer') or diag $merge->errors;
$box->mute;
is($merge->wait(120), 75, 'a target of which nobody answers: exit 75') or diag $merge->errors;
like($merge->errors, qr/the target server says nothing, and does not work at it/, 'and merge says who is silent');
delete $cdc->{env};
my $r = $cdc->call('merge', '--merge.until=now');
is($r->{code}, 0, 'the next merge goes on') or diag $r->{err};
tables_equal($source, 'shop', $target, 'shop', 'public.t');

# ---- check ----
$trace = never('pg_is_in_recovery');
$r = $cdc->call('check', '--source.silence_limit=1s');
is($r->{code} & 127, $r->{code}, 'check ends by itself');
isnt($r->{code}, 0, 'check: not with 0');
like("$r->{out}$r->{err}", qr/the source server says nothing/, 'and tells who is silent') or diag $r->{out}, $r->{err};
$trace = never('pg_is_in_recovery');
stops(starts('check'), $trace, 'pg_is_in_recovery', 'check');
done_testing();
