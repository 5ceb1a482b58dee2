#-------------------------------------------------------------------------
# The plugin decodes WAL records between two turns of the walsender's loop
# itself (plugin/ahead.c).  What comes out is the same as without; the walsender
# reads the last record itself, whatever that is, so that its position and a
# shutdown are as always; and a client is heard while transactions are replayed.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);

use CdcS3::Cluster;
use CdcS3::Proc qw(capture spawn temp_folder slurp poll);
use CdcS3::Test;

my @conf = (
	'autovacuum = off',
	'max_prepared_transactions = 10',
	'max_replication_slots = 40',
	'logical_decoding_work_mem = 64kB');
my $source = new_cluster('source', conf => \@conf)->start;

sub sql { return $source->psql('postgres', $_[0]) }

sub flushed { return sql('select pg_current_wal_flush_lsn()') }

# ---- the same with and without ----

sql(<<'SQL');
create table t (id bigint generated always as identity primary key, v text);
create table root (id int, k int, primary key (id, k)) partition by list (k);
create table leaf partition of root for values in (1, 2, 3);
alter table t alter v set storage external;
create procedure commits(n integer) language plpgsql as $$
begin
	for i in 1 .. n loop
		insert into t (v) values ('row ' || i);
		if i % 7 = 0 then update t set v = v || repeat('x', 3000) where id = i; end if;
		if i % 11 = 0 then rollback; else commit; end if;
	end loop;
end $$;
create procedure savepoints(n integer) language plpgsql as $$
begin
	for i in 1 .. n loop
		begin
			insert into t (v) values (repeat(i::text, 50));
			if i % 3 = 0 then raise exception 'back'; end if;
		exception when raise_exception then null;
		end;
	end loop;
end $$;
select pg_create_logical_replication_slot('s', 'cdc_s3', false, true);
SQL
sql($_) for (
	'call commits(3000)',
	'begin; call savepoints(900); commit',
	'alter table t add c int default 5; call commits(300)',
	'insert into t (v) select repeat(i::text, 100) from generate_series(1, 20000) i',
	"select pg_logical_emit_message(false, 'm', repeat('n', 100000));"
	  . "begin; select pg_logical_emit_message(true, 'm', 'in'); truncate t; commit;",
	"begin; insert into t (v) select 'p' from generate_series(1, 3000); prepare transaction 'p1'",
	'alter table root add d int default 7; insert into root select i, 1 + i % 3 from generate_series(1, 500) i',
	"commit prepared 'p1'",
	"begin; insert into t (v) values ('not'); prepare transaction 'p2'",
	"rollback prepared 'p2'",
	'alter table t alter c type bigint; call commits(500); select pg_switch_wal(); call commits(500)');
my $end = flushed();

# All that slot "s" holds up to there, as lines; how many records of it the
# plugin read, and how many messages it put: undef where it has no part in that.
my $copies = 0;
my %reports = (
	'read' => qr/cdc_s3 read (\d+) WAL records ahead/,
	'put' => qr/cdc_s3 put (\d+) messages into the output buffer/);
my %seen;

# What the log says of the last stream.
sub report
{
	my ($server, $what) = @_;
	my @all = $server->log_text =~ /$reports{$what}/g;
	my $new = @all > ($seen{$what} // 0) ? $all[-1] : undef;
	$seen{$what} = @all;
	return $new;
}

sub decode
{
	my ($server, $settings, $slot, @options) = @_;
	my $copy = 'copy_' . ++$copies;
	$server->psql('postgres',
		"select pg_copy_logical_replication_slot('$slot', '$copy')");
	my $r = capture(
		[
			CdcS3::Cluster::program('pg_recvlogical'), '-d',
			$server->conninfo('postgres'), '-S', $copy, '--start', '--no-loop',
			'-f', '-', "--endpos=$end", map { ('-o', $_) } 'format=text', @options
		],
		env => {
			PGOPTIONS => join ' ', '-c log_min_messages=debug1',
			map { "-c cdc_s3.$_=$settings->{$_}" } sort keys %$settings
		},
		timeout => 120);
	is($r->{code}, 0, join ' ', %$settings, @options) or diag $r->{err};
	$server->wait_for_free_slot($copy);
	$server->psql('postgres', "select pg_drop_replication_slot('$copy')");
	return ($r->{out}, map { report($server, $_) } qw(read put));
}

my %off = (read_ahead => 0, send_bytes => 0);

sub same_without
{
	my ($server, $slot, @options) = @_;
	my ($without, @none) = decode($server, \%off, $slot, @options);
	my ($with, $read, $put) = decode($server, {}, $slot, @options);
	is_deeply(\@none, [ undef, undef ], 'the server does all itself');
	cmp_ok($read, '>', 5000, "the plugin reads $read records");
	cmp_ok($put, '>', 1000, "and puts $put messages");
	cmp_ok($without =~ tr/\n//, '>', 5000, 'there is much to compare');
	ok($with eq $without, 'and what comes out is the same');

	# One without the other.
	for my $one (sort keys %off)
	{
		my ($out, $n, $m) = decode($server, { $one => 0 }, $slot, @options);
		is($one eq 'read_ahead' ? $n : $m, undef, "$one = 0 by itself");
		ok($out eq $without, 'the same comes out');
	}
	return;
}

same_without($source, 's');
same_without($source, 's', 'streaming=on', 'two_phase=on');
my (undef, $few) = decode($source, { read_ahead => 1 }, 's');
my (undef, $many) = decode($source, { read_ahead => 1000 }, 's');
cmp_ok($few, '<', $many, 'read_ahead=1 reads fewer than read_ahead=1000');

# ---- a major release that nobody has checked ----

# Whatever the settings say.
my $so = CdcS3::Cluster::plugin_folder() . '/cdc_s3.so';
my $r = capture(
	[ 'bash', abs_path(dirname(__FILE__) . '/../build-plugin.sh'), 'unchecked' ],
	env => { COPT => '-DCDC_S3_CHECKED_MAJOR=14' },
	timeout => 300);
is($r->{code}, 0, 'the plugin as if this release was newer than those checked') or diag $r->{err};
chomp(my $tree = $r->{out});
rename $so, "$so.kept" or die "$so: $!";
copy("$tree/cdc_s3.so", $so) or die "$so: $!";
chmod 0755, $so;
my ($unchecked, @none) = decode($source, {}, 's');
is_deeply(\@none, [ undef, undef ], 'takes no part in the work of the server');
rename "$so.kept", $so or die "$so: $!";
my ($checked) = decode($source, {}, 's');
ok($unchecked eq $checked, 'and sends the same');

# ---- the walsender's own last record ----

sub program_of
{
	my (@cmd) = @_;
	return spawn(
		cmd => [ CdcS3::Cluster::program(shift @cmd), @cmd ],
		log => temp_folder() . '/client.log');
}

sub reader_of
{
	my ($server, $slot, @more) = @_;
	return program_of(
		'pg_recvlogical', '-d', $server->conninfo('postgres'), '-S', $slot,
		'--start', '--no-loop', '-o', 'format=text', '--status-interval=1',
		@more ? @more : ('-f', '/dev/null'));
}

sub comes_to
{
	my ($server, $to, $what) = @_;
	return ok($server->poll_until('postgres', <<"SQL", 60), $what);
select count(*) > 0 from pg_stat_replication where sent_lsn >= '$to'
SQL
}

# Each of them ends in a record after which there is none, and which is large,
# or carries the position to the end of its segment.
my %ends = (
	'a message of 3 MB' =>
	  "select pg_logical_emit_message(false, 'm', repeat('n', 3000000))",
	'the end of a segment' => 'select pg_switch_wal()',
	'a message and the end of a segment' =>
	  "select pg_logical_emit_message(false, 'm', repeat('n', 300000)), pg_switch_wal()",
	'a small commit' => "insert into t (v) values ('last')");
for my $last (sort keys %ends)
{
	sql('call commits(2000)');
	sql($ends{$last});
	sql('checkpoint') if $last =~ /commit/;
	my $reader = reader_of($source, 's');
	comes_to($source, flushed(), "$last: the walsender is at the end");
	$reader->stop('INT', 20);
	$source->wait_for_free_slot('s');
}

# A client that has confirmed all lets the server go.
my $reader = reader_of($source, 's', '-f', '/dev/null', '--fsync-interval=0');
sql('call commits(2000)');
sql($ends{'a message and the end of a segment'});
ok($source->stop('fast', 30), 'a fast shutdown waits for nothing else');
$reader->stop('INT', 20);
$source->start;

# ---- replies ----

# Many transactions that bring nothing and take long, beside a short timeout.
sql('create table unwanted (id int, v text)');
sql("insert into unwanted select i, 'text' from generate_series(1, 20000) i") for 1 .. 40;
my $to = flushed();
# A machine that stands still for as long looks the same, so more than once.
for (1 .. 3)
{
	$r = capture(
		[
			CdcS3::Cluster::program('pg_recvlogical'), '-d',
			$source->conninfo('postgres'), '-S', 's', '--start', '--no-loop',
			'-f', '-', "--endpos=$to", '-o', 'format=text', '-o', 'tables=public.t',
			'--status-interval=1'
		],
		env => { PGOPTIONS => '-c wal_sender_timeout=2s -c cdc_s3.read_ahead=65536' },
		timeout => 120);
	last if $r->{code} == 0;
	diag $r->{err};
}
is($r->{code}, 0, 'a client that answers is not taken for dead');

# ---- the setting ----

for my $bad ('-1', '65537', 'many')
{
	$r = $source->try_psql('postgres', "load 'cdc_s3'; set cdc_s3.read_ahead = '$bad'");
	isnt($r->{code}, 0, "cdc_s3.read_ahead = $bad is refused");
	like($r->{err}, qr/"cdc_s3\.read_ahead"/, 'by name');
}
# A client that may not set it cannot turn on what a superuser turned off.
sql('create role reader login replication; alter role reader set log_min_messages = debug1');
sql("alter role reader set $_ = 0") for qw(cdc_s3.read_ahead cdc_s3.send_bytes);
for my $options ('', '-c cdc_s3.read_ahead=4096 -c cdc_s3.send_bytes=100000')
{
	report($source, $_) for qw(read put);
	$r = capture(
		[
			CdcS3::Cluster::program('pg_recvlogical'), '-d',
			$source->conninfo('postgres', user => 'reader'),
			'-S', 's', '--start', '--no-loop', '-f', '-', "--endpos=$to", '-o', 'format=text'
		],
		env => { PGOPTIONS => $options },
		timeout => 60);
	is($r->{code}, 0, "a plain role with '$options'") or diag $r->{err};
	$source->wait_for_free_slot('s');
	is_deeply([ map { report($source, $_) } qw(read put) ], [ undef, undef ],
		'what a superuser turned off is off');
}
like($source->log_text, qr/permission denied to set parameter "$_"/, "$_ is for superusers")
  for qw(cdc_s3.read_ahead cdc_s3.send_bytes);

# ---- WAL that is flushed, and withheld ----

# A failover slot gets no WAL before the standbys have it.  The walsender finds
# that out while more is read ahead; what it has decoded by then must go out.
SKIP:
{
	my ($major) = sql('show server_version_num') =~ /^(\d\d)/;
	skip 'up to PostgreSQL 16 there are no failover slots', 1 if $major < 17;
	sql("select pg_create_physical_replication_slot('late', true)");
	sql("select pg_create_logical_replication_slot('f', 'cdc_s3', false, false, true)");
	sql("alter system set synchronized_standby_slots = 'late'");
	sql("select pg_replication_slot_advance('late', pg_current_wal_flush_lsn())");
	$source->reload;
	$source->poll_until('postgres', "select current_setting('synchronized_standby_slots') = 'late'");
	my $out = temp_folder() . '/withheld';
	my $f = reader_of($source, 'f', '-f', $out);
	comes_to($source, sql("select restart_lsn from pg_replication_slots where slot_name = 'late'"),
		'the reader of a failover slot is as far as its standby');
	sql("insert into t (v) values ('withheld')");
	my $first = flushed();
	ok($source->poll_until('postgres', <<'SQL', 60), 'and waits for it');
select count(*) > 0 from pg_stat_activity where wait_event = 'WaitForStandbyConfirmation'
SQL
	sql('call commits(2000)');
	sql("select pg_replication_slot_advance('late', '$first')");
	ok(poll(sub { -e $out && slurp($out) =~ /withheld/ }, 60),
		'what the standby has comes, while the rest waits');
	sql("alter system reset synchronized_standby_slots");
	$source->reload;
	comes_to($source, flushed(), 'and the rest later');
	$f->stop('INT', 20);
}

# ---- on a standby ----

SKIP:
{
	my ($major) = sql('show server_version_num') =~ /^(\d\d)/;
	skip 'up to PostgreSQL 15 a standby decodes nothing', 1 if $major < 16;
	sql("select pg_create_physical_replication_slot('standby')");
	my $standby = new_cluster(
		'standby',
		standby_of => $source,
		conf => [
			'hot_standby_feedback = on', "primary_slot_name = 'standby'",
			'max_replication_slots = 40'
		])->start;
	my $slot = program_of('psql', '-X', '-d', $standby->conninfo('postgres'), '-c',
		"select pg_create_logical_replication_slot('s2', 'cdc_s3')");
	poll(
		sub {
			sql('select pg_log_standby_snapshot()');
			return !$slot->alive;
		},
		30);
	sql('truncate t');
	sql('call commits(4000)');
	sql('insert into t (v) select i::text from generate_series(1, 3000) i');
	$end = flushed();
	ok($standby->poll_until('postgres', "select pg_last_wal_replay_lsn() >= '$end'", 60),
		'a standby follows');
	same_without($standby, 's2');
	my $at = reader_of($standby, 's2');
	sql('select pg_switch_wal()');
	comes_to($standby, flushed(), 'and its walsender comes to the end');
	$at->stop('INT', 20);
	$standby->stop;
}

done_testing();
