#-------------------------------------------------------------------------
# What cannot be told heals by itself: a merge that finds that the target lacks
# rows asks run for a load, and a later merge brings it.  Once however often, by
# however many targets and across kills it is asked for; not where a person
# wants to; not more often than load.daily_max; and a target that has all rows is
# left as it is.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use JSON::PP;

use CdcS3::FakeS3;
use CdcS3::Lake;
use CdcS3::Proc qw(poll);
use CdcS3::Sidecar;
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
my $script = slurp(top_folder() . '/plugin/cdc_s3--1.0.sql');
$script =~ s/^\\echo.*$//m;

sub drop_slot { return $source->psql('postgres', q{select pg_drop_replication_slot('cdc_s3')}) }

# A source with the extension and two tables, loaded by a run that goes on.
sub begin
{
	my ($db, $store, @flags) = @_;
	$_->psql('postgres', "create database $db") for $source, $target;
	$source->psql($db, "create schema cdc_s3; $script");
	$source->psql($db, <<'SQL');
create table a (id int primary key, v text);
create table b (id int primary key, v text);
insert into a select g, 'a' from generate_series(1, 300) g;
insert into b select g, 'b' from generate_series(1, 300) g;
SQL
	my $cdc = sidecar($source, $db, $store, target => $target, flags => [ '--flush.interval=1s', @flags ]);
	$cdc->ok('init');
	my $run = $cdc->start;
	ok(poll(sub { $run->errors =~ /tables_done=2 tables=2/ }, 60), "$db: loaded") or diag $run->errors;
	ok($cdc->wait_durable, "$db: durable") or diag $run->errors;
	return ($cdc, $run);
}

# A change of all rows that no change event tells.
sub rewrite { return $source->psql($_[0], "alter table $_[1] add column c$_[2] float8 default random()") }

sub merge
{
	my ($cdc, @flags) = @_;
	return $cdc->call('merge', '--merge.until=now', @flags);
}

# Loads of a table that the log has as done.
sub loads_of
{
	my ($cdc, $table) = @_;
	return scalar grep { $_->{table} eq $table && $_->{state} eq 'done' }
	  map { @{ JSON::PP->new->decode($_)->{loads} } } split /\n/, $cdc->ls('--json');
}

sub requests { return split /\n/, $_[0]->ok('snapshot', '--list') }
sub sessions { my $n = () = $_[0]->errors =~ /event=streaming/g; return $n }
sub resync { return $target->psql($_[0], 'select source_table, reason, state from cdc_s3.resync order by 1') }

# Until run has taken all requests, and what it announced is done.
sub wait_idle
{
	my ($cdc) = @_;
	return poll(
		sub {
			return if requests($cdc);
			my @entries = map { JSON::PP->new->decode($_) } split /\n/, $cdc->ls('--json');
			return $entries[-1]{loads_open} == 0;
		},
		60);
}

# ---- a rewrite heals, and nobody gives a command ----

my ($cdc, $run) = begin('heals', file_store());
is(merge($cdc)->{code}, 0, 'all is merged');
rewrite('heals', 'a', 1);
$source->psql('heals', q(insert into a values (1000, 'after'); update b set v = 'changed' where id <= 10));
ok($cdc->wait_durable, 'durable') or diag $run->errors;
my $r = merge($cdc);
is($r->{code}, 8, 'a table lacks rows: exit code');
like($r->{out}, qr/^public\.a: to be loaded anew, rows changed at LSN \S+ without change events \(rewrite\); run is asked for it$/m,
	'and who heals it');
like($r->{err}, qr/event="table is to be loaded anew" schema=public table=a .*hint="run is asked for it once this is committed"/, 'the log says it, too');
like($r->{err}, qr/1 table to be loaded anew is outstanding; see cdc_s3\.resync in the target; run is asked to load the tables/,
	'one line about it');
ok(poll(sub { loads_of($cdc, 'a') == 2 }, 60), 'run loads it') or diag $run->errors;
is_deeply([ requests($cdc) ], [], 'and takes the request away');
$source->psql('heals', q(insert into a values (1001, 'later'); delete from b where id = 20));
ok($cdc->wait_durable, 'the stream goes on') or diag $run->errors;
$r = merge($cdc);
is($r->{code}, 0, 'nothing is outstanding') or diag $r->{out}, $r->{err};
like($r->{out}, qr/^public\.a: .*, loaded$/m, 'the load is merged');
unlike($r->{out}, qr/^public\.b: .*, loaded$/m, 'of that table alone');
is(resync('heals'), '', 'cdc_s3.resync is empty');
tables_equal($source, 'heals', $target, 'heals', qw(a b));
is(loads_of($cdc, 'b'), 1, 'no other table is loaded');
is(sessions($run), 2, 'by one more session of the same run');
like($cdc->ls, qr/  1 done  \(rewrite\)$/m, 'ls says why');

# ---- asked sixty times, by two targets: one load ----

is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$target->psql('postgres', 'create database second');
my $second = bless {%$cdc}, ref $cdc;
$second->{target_db} = 'second';
is(merge($second)->{code}, 0, 'a second target');
$run = $cdc->start;
rewrite('heals', 'a', 2);
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my $lsn = JSON::PP->new->decode((split /\n/, $cdc->ls('--json'))[-1])->{end};
merge($_) for ($cdc, $second) x 30;
my @requests = requests($cdc);
is(scalar @requests, 1, 'sixty merges, one request') or diag "@requests";
like($requests[0], qr/^[0-9a-f]{8} \S+ "public"\."a" \(rewrite at LSN [0-9A-F\/]+\)$/, 'with its reason');
$run = $cdc->start;
ok(wait_idle($cdc), 'run takes it') or diag $run->errors;
is(loads_of($cdc, 'a'), 3, 'and loads once');
# A merge that does not come so far, and does not look so far.
my $sessions = sessions($run);
for (1 .. 3)
{
	$r = $cdc->call('merge', "--merge.until=$lsn");
	is($r->{code}, 8, 'a merge that ends before the load');
	ok(wait_idle($cdc), 'is answered') or diag $run->errors;
}
is(loads_of($cdc, 'a'), 3, 'and not with another load');
is(sessions($run), $sessions, 'nor with another session');
is(merge($second)->{code}, 0, 'the second target takes the load');
tables_equal($source, 'heals', $target, 'second', qw(a b));
like(merge($cdc, '--plan')->{out}, qr/^public\.a: .*load/m, 'the first one would');
is(merge($cdc)->{code}, 0, 'and does');
tables_equal($source, 'heals', $target, 'heals', qw(a b));

# ---- only a target that lacks rows takes the load ----

$target->psql('second', 'drop table b');
$source->psql('heals', q(update b set v = 'again' where id = 5));
ok($cdc->wait_durable, 'durable') or diag $run->errors;
$r = merge($second);
is($r->{code}, 8, 'a table was dropped at the second target');
like($r->{out}, qr/^public\.b: to be loaded anew, .*\(dropped\); run is asked for it$/m, 'which needs a load');
is(merge($cdc)->{code}, 0, 'the first one has all');
ok(poll(sub { loads_of($cdc, 'b') == 2 }, 60), 'it is loaded') or diag $run->errors;
$source->psql('heals', q(update b set v = 'last' where id = 6));
ok($cdc->wait_durable, 'durable') or diag $run->errors;
$r = merge($cdc);
is($r->{code}, 0, 'the first target');
like($r->{out}, qr/^public\.b: 0 inserted, 1 updated, 0 deleted, 0 rejected$/m, 'takes the change, and not the load');
is(merge($second)->{code}, 0, 'the second one');
tables_equal($source, 'heals', $target, $_, qw(a b)) for qw(heals second);

# One that comes to rewrite and load in one merge takes it, too.
rewrite('heals', 'b', 3);
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is(merge($second)->{code}, 8, 'one target asks');
ok(poll(sub { loads_of($cdc, 'b') == 3 }, 60), 'it is loaded') or diag $run->errors;
is(merge($_)->{code}, 0, 'both are whole, none waits') for $cdc, $second;
tables_equal($source, 'heals', $target, $_, qw(a b)) for qw(heals second);
is(loads_of($cdc, 'b'), 3, 'by one load');

# ---- a person ----

rewrite('heals', 'a', 4);
ok($cdc->wait_durable, 'durable') or diag $run->errors;
$r = merge($cdc, '--load.resync=manual');
is($r->{code}, 8, 'load.resync=manual: exit code');
like($r->{out}, qr/^public\.a: .*\(rewrite\); by cdc-s3 snapshot public\.a$/m, 'the command is told');
is_deeply([ requests($cdc) ], [], 'and nothing asked for');
like(merge($cdc, '--plan')->{out}, qr/^public\.a: .*; merge asks run for it$/m, 'a preview');
is_deeply([ requests($cdc) ], [], 'asks for nothing');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$run = $cdc->start('--load.resync=manual');
is(merge($cdc)->{code}, 8, 'a merge that asks');
ok(poll(sub { $run->errors =~ /a person has to ask for it/ }, 60), 'a run that waits for a person') or diag $run->errors;
is(scalar(requests($cdc)), 1, 'the request stays');
is(loads_of($cdc, 'a'), 3, 'it is not served');
$cdc->ok('snapshot', '--wait', 'public.a');
is(loads_of($cdc, 'a'), 4, 'until a person asks');
ok(poll(sub { !requests($cdc) }, 60), 'then it is moot, and taken away') or diag $run->errors;
is(merge($cdc)->{code}, 0, 'whole');
tables_equal($source, 'heals', $target, 'heals', qw(a b));
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

# ---- too often ----

$run = $cdc->start('--load.daily_max=3');
for my $i (5 .. 7)
{
	rewrite('heals', 'a', $i);
	ok($cdc->wait_durable, 'durable') or diag $run->errors;
	$r = merge($cdc, '--load.daily_max=3');
	is($r->{code}, 8, "rewrite $i");
	last if $r->{out} =~ /too often/;
	my $done = loads_of($cdc, 'a');
	ok(poll(sub { loads_of($cdc, 'a') > $done }, 60), "rewrite $i: loaded") or diag $run->errors;
}
# two by rewrites above, one here; a person's and the first load do not count
is(loads_of($cdc, 'a'), 5, 'three loads by itself');
like($r->{out}, qr/^public\.a: .*\(rewrite\); loaded too often today, at once by cdc-s3 snapshot public\.a$/m, 'told');
is(resync('heals'), 'a|rewrite|often', 'the state at the target');
is_deeply([ requests($cdc) ], [], 'nothing is asked for');
my $check = $cdc->call('check', '--no-race')->{out};
like($check, qr/^warning  resync: public\.a stands in cdc_s3\.resync since .* \(rewrite, often\)\n.*\n.*load\.daily_max is reached.*snapshot '"public"\."a"'$/m, 'check tells');
like($check, qr/^warning  loads: public\.a was loaded 3 times by itself within 24 hours$/m, 'check tells of the log, too');
# A merge that counts otherwise: run decides, and leaves it there, once.
$sessions = sessions($run);
is(merge($cdc, '--load.daily_max=9')->{code}, 8, 'a merge with a higher limit asks') for 1 .. 3;
ok(poll(sub { $run->errors =~ /loaded so often today/ }, 60), 'run says no') or diag $run->errors;
is(scalar(requests($cdc)), 1, 'the request waits');
is(resync('heals'), 'a|rewrite|resync', 'for that merge it is none too often');
my $looks = () = $run->errors =~ /loaded so often today/g;
is($looks, 1, 'told once');
is(sessions($run), $sessions, 'no session begins for it');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$run = $cdc->start('--load.daily_max=9');
ok(poll(sub { loads_of($cdc, 'a') == 6 }, 60), 'a run with a higher one serves it') or diag $run->errors;
is(merge($cdc)->{code}, 0, 'whole');
tables_equal($source, 'heals', $target, 'heals', qw(a b));

# ---- nonsense of version 2 ----

my $folder = $cdc->{store}{folder} . '/_cdc/request';
my $good = '"reason":"rewrite","lsn":"0000000000000001","after_entry":1';
my %nonsense = (
	'0badf00a' => qq({"version":2,"table":"public.a",$good}),
	'0badf00b' => qq({"version":2,"table":"\\"public\\".\\"a\\",*",$good}),
	'0badf00c' => q({"version":2,"table":"\"public\".\"a\"","reason":"Re\u001b[31m","lsn":"0/1","after_entry":1}),
	'0badf00d' => q({"version":2,"table":"\"public\".\"a\"","reason":"rewrite","after_entry":1}));
my %left = ('0badf001' => qq({"version":2,"table":"\\"public\\".\\"*\\"",$good}), '0badf002' => qq({"version":2,"table":"\\"no\\".\\"table\\"",$good}));
my %all = (%nonsense, %left);
for my $id (keys %all)
{
	open my $h, '>', "$folder/$id.json" or die "$id: $!\n";
	print {$h} $all{$id};
	close $h or die "$id: $!\n";
}
for my $id (sort keys %nonsense)
{
	ok(poll(sub { $run->errors =~ /request is malformed and is not served" id=$id/ }, 60), "nonsense is told: $id")
	  or diag $run->errors;
}
ok(poll(sub { $run->errors =~ /no table that is wanted is of the load request" id=$_ / }, 60), "no such table: $_") or diag $run->errors for sort keys %left;
ok(poll(sub { requests($cdc) == 2 }, 60), 'these stay, for they would be made again') or diag $run->errors;
$sessions = sessions($run);
$source->psql('heals', q(insert into b values (2000, 'x')));
ok($cdc->wait_durable, 'the stream goes on') or diag $run->errors;
$cdc->ok('snapshot', '--cancel', $_) for sort keys %left;
is(sessions($run), $sessions, 'without more sessions');
is(loads_of($cdc, 'a'), 6, 'nothing is loaded for them');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
drop_slot();

# ---- a store that refuses, a run that is killed, a rewrite meanwhile ----

my $fake = CdcS3::FakeS3->start;
($cdc, $run) = begin('faults', $fake->store);
merge($cdc);
rewrite('faults', 'a', 1);
ok($cdc->wait_durable, 'durable') or diag $run->errors;
$fake->fault(match => qr{^PUT .*/_cdc/request/}, status => 403, times => 0);
$r = merge($cdc);
is($r->{code}, 8, 'the store takes no request: exit code');
like($r->{out}, qr/^public\.a: .*\(rewrite\); by cdc-s3 snapshot public\.a$/m, 'the command is told');
like($r->{err}, qr/level=warn event="could not ask for the load of a table" schema=public table=a error=/, 'and why');
$fake->clear;

# Killed when the load is announced and the request is still there.
$fake->fault(match => qr{^PUT .*/a/.*/load-}, status => 503, times => 0);
$fake->fault(match => qr{^DELETE .*/_cdc/request/}, status => 403, times => 0);
is(merge($cdc)->{code}, 8, 'asked for');
ok(poll(sub { $run->errors =~ /could not take a load request away/ }, 60), 'it cannot be taken away') or diag $run->errors;
is($run->stop('KILL'), -9, 'killed in the middle of the load');
is(scalar(requests($cdc)), 1, 'the request is there');
$run = $cdc->start;
ok(poll(sub { $run->errors =~ /could not take a load request away/ }, 60), 'the next run begins') or diag $run->errors;

# The table is rewritten again before its load comes to its end.
is(merge($cdc)->{code}, 8, 'a merge while it is loaded');
ok(poll(sub { $run->errors =~ /event=loading|event="store call failed/ }, 60), 'the load is under way') or diag $run->errors;
my $before = $source->psql('faults', 'select pg_current_wal_lsn()');
rewrite('faults', 'a', 2);
$source->psql('faults', q(insert into a values (1000, 'after')));
$fake->clear;
ok(poll(sub { loads_of($cdc, 'a') >= 2 }, 60), 'it is loaded') or diag $run->errors;
ok($cdc->wait_durable, 'durable') or diag $run->errors;
my $n = 0;
do
{
	$r = merge($cdc);
	poll(sub { !requests($cdc) }, 60);
	$cdc->wait_durable;
} while ($r->{code} == 8 && $n++ < 30);
is($r->{code}, 0, 'whole in the end') or diag $r->{out}, $r->{err}, $run->errors;
cmp_ok(loads_of($cdc, 'a'), '<=', 3, 'with one more load at most');
tables_equal($source, 'faults', $target, 'faults', qw(a b));
ok($run->alive, 'run is well');
my $loads = loads_of($cdc, 'a');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$run = $cdc->start;
ok(poll(sub { $run->errors =~ /event=streaming/ }, 60), 'started again') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
is(loads_of($cdc, 'a'), $loads, 'nothing is loaded again');
drop_slot();

# ---- by hand: who takes a load, and who waits for it ----

for (
	# reason, where the rows changed, and what the target does: it is at
	# 0x3000 when the load is announced
	[ undef, undef, 'takes' ],
	[ 'rewrite', 0x2800, 'goes on' ],
	[ 'rewrite', 0x3800, 'takes' ],
	[ 'dropped', 0x3800, 'goes on' ],
	[ 'mapped', 0x3800, 'goes on' ],
	[ 'excluded', 0x3800, 'goes on' ],
	[ 'new', undef, 'takes' ],
	[ 'rewrite', 0x2800, 'takes', q(insert into cdc_s3.resync values ('7000000000000000001', 'shop', 'cdc_s3', 'public', 't', '0/2800', 1, 'other')) ],
	[ 'rewrite', 0x2800, 'takes', q(delete from cdc_s3.tables) . '; truncate t' ])
{
	my ($reason, $changed, $does, $before) = @$_;
	my $name = join ' ', $reason // 'a person', $changed // '', $before ? 'a target that lacks rows' : ();
	my $db = 'hand' . ++$n;
	$target->psql('postgres', "create database $db");
	my $path = temp_folder() . "/lake_$db";
	my $lake = CdcS3::Lake->new(folder => $path);
	my $t = $lake->table('public.t', key => ['id'], columns => [ [ id => 'int4', 'pk' ], [ v => 'text' ] ]);
	my $merge = sub {
		my ($code) = @_;
		my $got = run_cdc('merge', "--store.url=file://$path", '--target.conninfo=' . $target->conninfo($db), '--until=now');
		is($got->{code}, $code // 0, "$name: merged") or diag $got->{out}, $got->{err};
		return $target->psql($db, q(select string_agg(id || v, ' ' order by id) from t));
	};
	$lake->entry(end => 0x3000, rows => [ [ $t, 'i', 0x2100, 1, { id => 1, v => '"a"' } ] ]);
	$merge->();
	$target->psql($db, $before) if $before;
	my $had = $target->psql($db, q(select string_agg(id || v, ' ' order by id) from t));
	my @load = defined $reason ? ($reason, $changed) : ();
	$lake->entry(end => 0x3000, loads => [ [ L1 => $t, 'open', 0, @load ] ]);
	$lake->entry(end => 0x4000, rows => [ [ $t, 'i', 0x3900, 1, { id => 2, v => '"b"' } ] ]);
	is($merge->($before && $before =~ /resync/ ? 8 : 0), $does eq 'takes' ? $had : '1a 2b', "$name: $does, announced");
	$lake->entry(
		end => 0x5000,
		loads => [ [ L1 => $t, 'done', 0x3950, @load ] ],
		load => { L1 => [ map { [ $t, 'r', 0x3950, (1 << 40) + $_, { id => $_, v => '"r"' } ] } 1, 2 ] },
		rows => [ [ $t, 'i', 0x4900, 1, { id => 3, v => '"c"' } ] ]);
	is($merge->(), $does eq 'takes' ? '1r 2r 3c' : '1a 2b 3c', "$name: $does, done");
}

# What no load mends is not asked for.
{
	my $db = 'states';
	$target->psql('postgres', "create database $db");
	my $path = temp_folder() . "/lake_$db";
	my $lake = CdcS3::Lake->new(folder => $path);
	my @flags = ("--store.url=file://$path", '--target.conninfo=' . $target->conninfo($db), '--until=now');
	run_cdc('merge', @flags);
	my @lines = (
		[ 'b', 'schema', 'blocked', 'the target cannot hold its changes up to LSN 0/10 (schema); its changes wait until the target is mended' ],
		[ 'l', 'left', 'left', 'it lacks what changed before LSN 0/10 (left); it is not wanted any more' ],
		[ 'c', 'columns', 'resync', 'to be loaded anew, the target cannot hold its changes up to LSN 0/10 (columns); mend the target, then cdc-s3 snapshot public.c' ],
		[ q(It''s), 'rewrite', 'resync', q(to be loaded anew, rows changed at LSN 0/10 without change events (rewrite); run is asked for it) ]);
	$target->psql($db, "insert into cdc_s3.resync values ('7000000000000000001', 'shop', 'cdc_s3', 'public', '$_->[0]', '0/10', 1, '$_->[1]', now(), '$_->[2]')")
	  for @lines;
	my $got = run_cdc('merge', @flags);
	is($got->{code}, 8, 'states: exit code') or diag $got->{err};
	for my $l (@lines)
	{
		my $name = $l->[0] =~ s/''/'/r;
		like($got->{out}, qr/^public\.\Q$name: $l->[3]\E$/m, "$name: $l->[2]");
	}
	my @asked = glob "$path/_cdc/request/*";
	is(scalar @asked, 1, 'one is asked for');
	like(slurp($asked[0]), qr/"table":"\\"public\\".\\"It's\\""/, 'and no other');
	like(run_cdc('merge', @flags, '--load.resync=manual')->{out}, qr/\(rewrite\); by cdc-s3 snapshot '"public"\."It'\\''s"'$/m,
		'a name that the shell would take apart');
}

# ---- a log whose first rows were not wanted is not loaded by itself ----

$_->psql('postgres', 'create database never') for $source, $target;
$source->psql('never', "create schema cdc_s3; $script; create table a (id int primary key)");
$cdc = sidecar($source, 'never', file_store(), target => $target, flags => [ '--flush.interval=1s', '--load.mode=never' ]);
$cdc->ok('init');
$run = $cdc->start;
$source->psql('never', 'insert into a values (1)');
rewrite('never', 'a', 1);
ok($cdc->wait_durable, 'load.mode=never: durable') or diag $run->errors;
$r = merge($cdc);
is($r->{code}, 8, 'lacks rows');
like($r->{out}, qr/\(rewrite\); by cdc-s3 snapshot public\.a$/m, 'a person has to ask');
is_deeply([ requests($cdc) ], [], 'merge does not');
$cdc->ok('snapshot', '--wait', 'public.a');
is(merge($cdc)->{code}, 0, 'and who does is served');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

done_testing();
