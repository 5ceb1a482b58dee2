#-------------------------------------------------------------------------
# status from lake and servers alone, whether run is up or not; verify of
# lakes that run made, in each format; and drop, which asks for the lake twice.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Test;

my $json = JSON::PP->new->utf8;
my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;

sub database
{
	my ($db, @flags) = @_;
	$_->psql('postgres', "create database $db") for $source, $target;
	return sidecar($source, $db, file_store(), target => $target, slot => "slot_$db",
		flags => [ '--flush.interval=1s', @flags ]);
}

sub status
{
	my ($cdc, $code) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = $cdc->call('status', '--json');
	is($r->{code}, $code // 0, 'status: exit code') or diag $r->{out}, $r->{err};
	return $json->decode($r->{out});
}

# ---- in each format: run, verify, status ----

for my $format (qw(json csv parquet))
{
	my $cdc = database($format, "--output.format=$format", '--output.workers=3');
	$source->psql($format, <<'SQL');
create table t (id int primary key, v text, n numeric);
create table "U.u" (id int primary key);
insert into t select g, 'v' || g, g / 7.0 from generate_series(1, 3000) g;
SQL
	if ($format eq 'json')
	{
		my $s = status($cdc);
		ok(!exists $s->{lake}{entry} && !$s->{source}{slot}{exists}, 'before init: nothing is there');
		ok(!$s->{target}{merged}, 'before init: nothing was merged');
		like($cdc->call('status')->{out}, qr/^log\s+there is none yet/m, 'before init: as text');
	}
	$cdc->ok('init');
	my $run = $cdc->start;
	ok($cdc->wait_loaded, "$format: loaded") or diag $run->errors;
	$source->psql($format, "insert into t select $_ * 10000 + g, 'x', g from generate_series(1, 400) g;"
		. qq{insert into "U.u" select $_ * 1000 + g from generate_series(1, 50) g;}
		. "update t set v = 'y' where id % 10 = $_; delete from t where id = $_")
	  for 1 .. 5;
	$source->psql($format, 'begin; insert into "U.u" values (1); truncate t, "U.u"; insert into t values (1); commit');
	ok($cdc->wait_durable, "$format: durable") or diag $run->errors;
	my $s = status($cdc);
	is($s->{source}{slot}{active_pid} > 0, 1, "$format: run is connected") if $s->{source}{slot}{active_pid};
	is($s->{lake}{tables}, 2, "$format: tables");
	is($s->{lake}{loads_open}, 0, "$format: no load is open");
	my $r = $cdc->call('verify', '--json');
	is($r->{code}, 0, "$format: verify beside run") or diag $r->{out}, $r->{err};
	is($run->stop('TERM', 60), 0, "$format: run stops") or diag $run->errors;
	$r = $cdc->call('verify', '--json');
	is($r->{code}, 0, "$format: verify") or diag $r->{out}, $r->{err};
	my $sum = $json->decode((split /\n/, $r->{out})[-1]);
	my $lines = () = $cdc->replay =~ /\n/g;
	is($sum->{rows}, $lines, "$format: as many rows as replay has");
	is($sum->{objects}, scalar(my @o = $cdc->objects), "$format: every object");
}

# ---- behind: the target, then the log ----

my $cdc = database('behind');
$source->psql('behind', 'create table t (id int primary key); insert into t values (1)');
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;
ok($cdc->wait_durable, 'durable') or diag $run->errors;
$cdc->ok('merge', '--merge.until=now');
my $s = status($cdc);
ok($s->{target}{merged} && $s->{target}{behind_entries} <= 2, 'the target was merged');
my $at = $s->{target}{entry};
$source->psql('behind', 'insert into t select g from generate_series(2, 1000) g');
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;
$s = status($cdc);
is($s->{target}{entry}, $at, 'the target is where it was');
cmp_ok($s->{target}{behind_entries}, '>=', 1, 'and behind by entries');
cmp_ok($s->{target}{behind_bytes}, '>', 0, 'and by bytes');
is($s->{source}{slot}{active_pid}, undef, 'run is not connected');
$source->psql('behind', "insert into t select g from generate_series(2000, 90000) g");
$s = status($cdc);
cmp_ok($s->{source}{lag_bytes}, '>', 1_000_000, 'the log is behind the source');
cmp_ok($s->{source}{slot}{retained_bytes}, '>', 1_000_000, 'the slot retains WAL');
is($s->{source}{slot}{wal_status}, 'reserved', 'wal_status');
my $text = $cdc->call('status')->{out};
like($text, qr/^$_\s/m, "the screen has $_")
  for qw(source slot lag log hours tables loads target rejected resync);
like($text, qr/idle: run is not connected/, 'and says that run is down');

# What stands at the target for somebody.
$target->psql('behind', q{insert into cdc_s3.resync (system_identifier, database, slot, source_schema, source_table, lsn, seq, reason)
	select system_identifier, database, slot, 'public', E'odd\nname', lsn, 1, 'rewrite' from cdc_s3.position;
	insert into cdc_s3.rejected (system_identifier, database, slot, source_schema, source_table, lsn, seq, op, sqlstate, reason)
	select system_identifier, database, slot, 'public', 't', lsn, 1, 'i', '23505', 'taken' from cdc_s3.position});
$s = status($cdc);
is($s->{target}{resync}[0]{reason}, 'rewrite', 'resync');
is($s->{target}{rejected}, 1, 'rejected');
like($cdc->call('status')->{out}, qr/^resync\s+public\.odd\?name: rewrite, resync, since /m, 'on the screen');

# --watch ends well.
my $watch = spawn(
	cmd => [ CdcS3::Sidecar::program(), 'status', '--watch', $cdc->flags ],
	out_path => "$cdc->{folder}/watch.out",
	err_path => "$cdc->{folder}/watch.err");
ok(poll(sub { -e "$cdc->{folder}/watch.out" && (() = slurp("$cdc->{folder}/watch.out") =~ /^source/mg) >= 2 }, 60), '--watch shows it again');
is($watch->stop('INT', 30), 0, '--watch ends with 0');

# ---- a load that is under way ----

my $slow = database('slow', '--load.max_rate=100kB', '--load.jobs=1');
$source->psql('slow', q{create table small (id int primary key);
	create table large (id int primary key, v text);
	insert into small select g from generate_series(1, 10) g;
	insert into large select g, repeat('v', 100) from generate_series(1, 20000) g; analyze});
$slow->ok('init');
$run = $slow->start;
ok(poll(sub {
		my $r = $slow->call('status', '--json');
		return if $r->{code};
		my ($l) = grep { $_->{table} eq 'large' } @{ $json->decode($r->{out})->{lake}{loads} // [] };
		return $l && $l->{percent} && $l->{percent} < 100;
	}, 60), 'a load tells how far it is') or diag $slow->call('status', '--json')->{out};
like($slow->call('status')->{out}, qr/^loads\s+\d of 2 open, \d+ %/m, 'on the screen');
is($slow->call('drop', '--slot=slot_slow')->{code}, 4, 'a slot in use is not dropped');
$run->stop('KILL');

# ---- drop ----

my $url = $cdc->{store}{url};
sub drops { my (@args) = @_; return $cdc->call('drop', @args) }
my $count = sub { return $source->psql('postgres', q{select count(*) from pg_replication_slots where slot_name = 'slot_behind'}) };
for my $case (
	[ [], qr/does not say what/ ],
	[ ['--slot=other'], qr/source\.slot is "slot_behind"/ ],
	[ [ '--slot=slot_behind', '--objects=3' ], qr/with --lake only/ ],
	[ [ '--slot=slot_behind', '--lake=file:///else' ], qr/store\.url is/ ],
	[ [ '--slot=slot_behind', "--lake=$url" ], qr/has \d+ objects.*--objects=\d+/ ],
	[ [ '--slot=slot_behind', "--lake=$url", '--objects=1' ], qr/has \d+ objects/ ])
{
	my $r = drops(@{ $case->[0] });
	is($r->{code}, 2, "drop @{ $case->[0] }: refused");
	like($r->{err}, $case->[1], 'and says why');
}
is($count->(), 1, 'the slot is there still');
my ($n) = drops('--slot=slot_behind', "--lake=$url")->{err} =~ /--objects=(\d+)/;
my $r = drops('--slot=slot_behind', "--lake=$url", "--objects=$n");
is($r->{code}, 0, 'drop: slot and lake') or diag $r->{err};
is($count->(), 0, 'the slot is gone');
is_deeply([ $cdc->objects, $cdc->entry_files ], [], 'the lake is gone');
is($cdc->call('ls')->{code}, 2, 'there is no log any more');
$r = drops('--slot=slot_behind');
is($r->{code}, 0, 'dropped again') or diag $r->{err};
like($r->{out}, qr/not there/, 'it says so');
$cdc->ok('init');
is($count->(), 1, 'a new lake begins');

# ---- servers that are down ----

$target->stop;
$s = status($cdc, 7);
ok(!$s->{target}{reachable} && $s->{source}{reachable}, 'the target is down, the rest is told');
$source->stop;
$s = status($cdc, 4);
ok(!$s->{source}{reachable} && $s->{lake}{entry} == 0, 'the source is down, the lake is told');
like($s->{source}{error}, qr/could not connect/, 'with the error');
like($cdc->call('status')->{out}, qr/^source\s+could not connect/m, 'on the screen');
is(status(sidecar($source, 'postgres', { url => 'file:///proc/nix', folder => '/proc/nix', flags => [], env => {} }), 4)->{lake}{entry},
	undef, 'no lake');

done_testing();
