#-------------------------------------------------------------------------
# Schema changes of every kind in each phase of a load, the first one and one
# that was asked for: whatever happens when, what is merged in the end is equal.
# And a table that is rewritten again and again makes no storm of loads.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Proc qw(poll);
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
my $fake = CdcS3::FakeS3->start;
my $script = slurp(top_folder() . '/plugin/cdc_s3--1.0.sql');
$script =~ s/^\\echo.*$//m;

# What becomes of tables that are loaded; "t" is each one's own name.
my @changes = (
	[ typed => 'alter table t alter n type bigint; update t set n = n + 3000000000 where id < 4' ],
	[ casted => q{alter table t alter n type text using 'x' || n} ],
	[ added => q{alter table t add c text default 'new'; update t set c = 'other' where id = 5} ],
	[ random => 'alter table t add r float8 default random()' ],
	[ dropped_column => 'alter table t drop n; alter table t add n text' ],
	[ renamed => 'alter table t rename to t_now; insert into t_now values (1000, 1)' ],
	[ other_name => 'alter table t rename n to v; update t set v = -v' ],
	[ moved => 'alter table t set schema other; delete from other.t where id = 1' ],
	[ keyed => 'alter table t drop constraint t_pkey; alter table t replica identity full; delete from t where id = 2' ],
	[ emptied => 'truncate t; insert into t values (1, 1)' ],
	[ repacked => 'vacuum full t' ],
	[ gone => 'drop table t' ],
	[ anew => 'drop table t; create table t (x text, id int primary key); insert into t values ($$y$$, 1)' ],
	[ swapped => 'create table t_b (id int primary key, n int); insert into t_b select id, -n from t; alter table t rename to t_old; alter table t_b rename to t; drop table t_old' ],
	[ twice => 'alter table t alter n type text; alter table t alter n type int using n::int; alter table t rename n to m' ],
	[ logged => 'alter table t set unlogged; alter table t set logged' ]);

sub change_all
{
	my ($db) = @_;
	my $sql = "set lock_timeout = '60s'";
	for my $c (@changes)
	{
		my ($name, $its) = @$c;
		$sql .= ";\n" . ($its =~ s/\bt(_\w+)?\b/$name . ($1 \/\/ '')/ger);
	}
	$source->psql($db, $sql);
	return;
}

sub tables_of
{
	my ($cluster, $db) = @_;
	return split /\n/, $cluster->psql($db, q{select format('%I.%I', n.nspname, c.relname) from pg_class c
		join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname in ('public', 'other') order by 1});
}

# Rows by the names of the source's columns, which may come in another order.
sub rows_of
{
	my ($cluster, $db, $t) = @_;
	my $names = $source->psql($db, "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute where attrelid = '$t'::regclass and attnum > 0 and not attisdropped");
	my $r = $cluster->try_psql($db, qq{select coalesce(string_agg(x::text, ' ' order by x::text collate "C"), '') from (select $names from $t) x});
	return "$r->{out}$r->{err}";
}

sub merge { return $_[0]->call('merge', '--merge.until=now', @_[ 1 .. $#_ ]) }

# Nothing is asked for, and nothing is being loaded.
sub is_idle
{
	my ($cdc) = @_;
	return if $cdc->ok('snapshot', '--list') =~ /\S/;
	my @entries = split /\n/, $cdc->ls('--json');
	my $last = JSON::PP->new->decode($entries[-1]);
	return $last->{loads_open} == 0;
}

# Merged until nothing waits; what a rewrite made unknown is loaded by itself.
sub healed
{
	my ($cdc) = @_;
	my $r;
	my $ok = poll(sub { is_idle($cdc) && $cdc->wait_durable && ($r = merge($cdc))->{code} == 0 && is_idle($cdc) }, 120);
	diag $r->{out}, $r->{err} if $r && !$ok;
	return $ok;
}

sub loads { my $n = () = $_[0]->errors =~ /event="table loaded"/g; return $n }

my $n = 0;

sub phase
{
	my ($name, %o) = @_;
	my $db = 'phase' . ++$n;
	$_->psql('postgres', "create database $db") for $source, $target;
	$source->psql($db, 'create schema other');
	$source->psql($db, "create schema cdc_s3; $script") if $n % 2;
	$source->psql($db, "create table $_->[0] (id int primary key, n int); insert into $_->[0] select g, g from generate_series(1, 50) g") for @changes;
	subtest $name . ($n % 2 ? ', with the extension' : ', without the extension') => sub {
		$fake->clear(objects => 1);
		my $cdc = sidecar($source, $db, $fake->store, target => $target, slot => $db,
			flags => [ '--flush.interval=1s', '--load.yield=1s', '--load.daily_max=20' ]);
		$cdc->ok('init');
		my $begin = sub { return $cdc->start };
		if ($o{reload})
		{
			$cdc->start;
			ok(healed($cdc), 'loaded and merged') or diag $cdc->{run}->errors;
			$begin = sub { $cdc->ok('snapshot', '*.*'); return $cdc->{run} };
		}
		my $run = $o{phase}->($cdc, $begin);
		$fake->clear;
		ok(healed($cdc), 'all of it is brought over') or diag $run->errors;
		my @tables = tables_of($source, $db);
		is(rows_of($target, $db, $_), rows_of($source, $db, $_), "$_ is equal") for @tables;
		is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
	};
	$source->psql('postgres', "select pg_drop_replication_slot('$db')");
	return;
}

# The store refuses what that matches; "reached" says that the load waits there.
sub held
{
	my ($match, $reached) = @_;
	return sub {
		my ($cdc, $begin) = @_;
		$fake->fault(match => $match, status => 503, times => 0);
		my $before = $fake->requests;
		my $run = $begin->();
		ok(poll(sub { $reached->($cdc, $run, $before) }, 60), 'the load comes to it') or diag $run->errors;
		change_all($cdc->{db});
		return $run;
	};
}

sub asked_for
{
	my ($what) = @_;
	return sub {
		my (undef, undef, $before) = @_;
		my @now = $fake->requests;
		return grep { /$what/ } @now[ $before .. $#now ];
	};
}

my $all_read = sub {
	my ($cdc, $run, $before) = @_;
	my @now = $fake->requests;
	my %tables = map { m{^PUT \S*/(\w+)/year\S*/load-} ? ($1 => 1) : () } @now[ $before .. $#now ];
	return keys %tables >= 16 || keys %tables == @changes;
};

for my $reload (0, 1)
{
	my @which = (reload => $reload);
	my $load = $reload ? 'a reload' : 'the first load';
	phase("$load, before it is announced", @which, phase => held(qr{^PUT .*/_cdc/log/}, asked_for(qr{^PUT .*/_cdc/log/})));
	phase("$load, read and not stored", @which, phase => held(qr{^PUT .*/load-}, $all_read));
	phase("$load, done and not merged", @which, phase => sub {
		my ($cdc, $begin) = @_;
		my $done = $reload ? loads($cdc->{run}) : 0;
		my $run = $begin->();
		ok(poll(sub { loads($run) >= $done + @changes }, 60), 'done') or diag $run->errors;
		change_all($cdc->{db});
		return $run;
	});
}

# ---- a table that is rewritten again and again ----

# Those loads of a table that are done, by reason.
sub loads_done
{
	my ($cdc, $table) = @_;
	my %n;
	$n{ $_->{reason} // '' }++ for grep { $_->{table} eq $table && $_->{state} eq 'done' }
	  map { @{ JSON::PP->new->decode($_)->{loads} } } split /\n/, $cdc->ls('--json');
	return \%n;
}

my $db = 'storm';
$_->psql('postgres', "create database $db") for $source, $target;
$source->psql($db, q{create table often (id int primary key, v text); create table calm (id int primary key, v text);
	insert into often select g, 'x' from generate_series(1, 200) g; insert into calm values (0, 'x')});
my $cdc = sidecar($source, $db, file_store(), target => $target, slot => $db,
	flags => [ '--flush.interval=1s', '--load.daily_max=3' ]);
$cdc->ok('init');
my $run = $cdc->start;
ok(healed($cdc), 'storm: loaded and merged') or diag $run->errors;
my $rounds = 12;
for my $i (1 .. $rounds)
{
	$source->psql($db, "alter table often add r$i float8 default random(); update often set v = v || $i where id <= 20; insert into calm values ($i, 'y')");
	ok($cdc->wait_durable, "storm, round $i: durable") or diag $run->errors;
	my $r = merge($cdc);
	# 0: the load came in time
	ok($r->{code} == 8 || $r->{code} == 0, "storm, round $i: merged") or diag $r->{err};
	is(rows_of($target, $db, 'calm'), rows_of($source, $db, 'calm'), "storm, round $i: another table goes on");
	# some of the rewrites come while a load waits, some behind it
	poll(sub { is_idle($cdc) }, 60) if $i % 3 == 0 && $r->{out} !~ /too often/;
}
my $done = loads_done($cdc, 'often');
cmp_ok($done->{rewrite}, '<=', 3, "storm: $rounds rewrites, no more than load.daily_max loads");
cmp_ok($done->{rewrite}, '>=', 1, 'storm: and some');
my $sessions = () = $run->errors =~ /event=streaming/g;
cmp_ok($sessions, '<=', 1 + 3, "storm: a session each at most ($sessions)") or diag $run->errors;
like(merge($cdc)->{out}, qr/^public\.often: .*loaded too often today, at once by cdc-s3 snapshot public\.often$/m, 'storm: and who comes to it is told what to do');
$cdc->ok('snapshot', '--wait', 'public.often');
ok(healed($cdc), 'storm: which heals it') or diag $run->errors;
is(rows_of($target, $db, $_), rows_of($source, $db, $_), "storm: $_ is equal") for qw(often calm);
is($run->stop('TERM', 60), 0, 'storm: run ends with 0') or diag $run->errors;

# ---- asked for again between a load's end and the entry that says so ----

$db = 'late';
$_->psql('postgres', "create database $db") for $source, $target;
$source->psql($db, q{create table t (id int primary key); insert into t values (1)});
$fake->clear(objects => 1);
$cdc = sidecar($source, $db, $fake->store, target => $target, slot => $db, flags => ['--flush.interval=1s']);
$cdc->ok('init');
$run = $cdc->start;
ok(healed($cdc), 'late: loaded and merged') or diag $run->errors;
my @rewritten;
for my $i (1, 2)
{
	$source->psql($db, "alter table t add r$i float8 default random(); insert into t values ($i * 10)");
	ok($cdc->wait_durable, "late: rewrite $i") or diag $run->errors;
	push @rewritten, $source->psql($db, "select confirmed_flush_lsn from pg_replication_slots where slot_name = 'late'");
}
is($run->stop('TERM', 60), 0, 'late: run ends') or diag $run->errors;
is(merge($cdc, "--merge.until=$rewritten[0]")->{code}, 8, 'late: the first one is merged');
$fake->fault(match => qr{^PUT \S*/_cdc/log/}, status => 503, times => 0);
$run = $cdc->start;
ok(poll(sub { $run->errors =~ /event="a table is loaded anew"/ }, 60), 'late: its load is planned') or diag $run->errors;
is(merge($cdc)->{code}, 8, 'late: the second one is merged');
like($cdc->ok('snapshot', '--list'), qr/\S.*\n.*\S/, 'late: and asked for by itself, since nothing tells of the load yet');
$fake->clear;
$fake->fault(match => qr{^PUT \S*/_cdc/log/}, delay => 5, times => 0);
ok(poll(sub { $cdc->ok('snapshot', '--list') !~ /\S/ }, 60), 'late: none is asked for once the entry has come') or diag $run->errors;
$fake->clear;
ok(healed($cdc), 'late: healed') or diag $run->errors;
$sessions = () = $run->errors =~ /event=streaming/g;
is($sessions, 1, 'late: one load serves both') or diag $run->errors;
is(rows_of($target, $db, 't'), rows_of($source, $db, 't'), 'late: t is equal');
is($run->stop('TERM', 60), 0, 'late: run ends with 0') or diag $run->errors;

done_testing();
