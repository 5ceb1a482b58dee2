#-------------------------------------------------------------------------
# Random schema changes mixed with changes of rows, streamed and merged: after
# each merge every table is equal to the source's, or stands in cdc_s3.resync;
# after the loads that this asks for every table is equal.
#
#	DDL_SEEDS=1,7 or 1-50	which histories (default 1-4)
#	DDL_ROUNDS=n			merges a history (default 6)
#	DDL_TRACE=1				says each statement
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Proc qw(poll slurp);
use CdcS3::Sidecar;
use CdcS3::Test;

my @seeds = map { /^(\d+)-(\d+)$/ ? $1 .. $2 : $_ } split /,/, $ENV{DDL_SEEDS} // '1-4';
my $rounds = $ENV{DDL_ROUNDS} // 6;
my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;

# Numbers of our own, so that a seed is a history on every machine.
my $state;
sub rnd
{
	my ($n) = @_;
	$state = ($state * 1103515245 + 12345) % 2147483648;
	return ($state >> 8) % $n;
}
sub pick { return $_[ rnd(scalar @_) ] }

my ($db, @trace);

sub ask { return $source->psql($db, $_[0]) }

# A statement or some; what the source refuses is no part of the history.
sub try_sql
{
	my ($sql) = @_;
	my $r = $source->try_psql($db, $sql);
	push @trace, ($r->{code} ? '-- refused: ' : '') . $sql;
	diag $trace[-1] if $ENV{DDL_TRACE};
	return $r->{code} == 0;
}

my $wanted = q{c.relkind = 'r' and c.relpersistence = 'p' and n.nspname in ('public', 'z')};

sub tables
{
	return split /\n/, ask("select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where $wanted order by c.oid");
}
sub columns
{
	my ($t) = @_;
	return map { [ split /\t/ ] } split /\n/, ask("select concat_ws(E'\\t', quote_ident(attname), format_type(atttypid, atttypmod)) from pg_attribute where attrelid = '$t'::regclass and attnum > 0 and not attisdropped order by attnum");
}
sub value
{
	my ($type) = @_;
	return 'null' if rnd(6) == 0;
	return rnd(2000) - 1000 if $type =~ /int|numeric/;
	return pick('true', 'false') if $type eq 'boolean';
	return "'" . pick('a', 'bb', '', q{it''s}, '7', '12') . rnd(50) . "'";
}

# ---- what happens ----
my $names = 0;
sub new_name { return pick(qw(t u v w)) . (rnd(3) ? rnd(4) : ++$names) }
sub new_column { return pick(qw(a b c d e)) . pick('', 1, 2) }
sub new_type { return pick('int', 'bigint', 'text', 'varchar(20)', 'numeric(12,2)', 'boolean') }

sub insert_sql
{
	my ($t) = @_;
	my @c = columns($t) or return "insert into $t default values";
	return join '; ', map {
		"insert into $t (" . join(', ', map { $_->[0] } @c) . ') values (' . join(', ', map { $_->[0] eq 'id' ? rnd(60) : value($_->[1]) } @c) . ') on conflict do nothing'
	} 1 .. 1 + rnd(3);
}
my @rows = (
	sub { insert_sql($_[0]) },
	sub {
		my ($t) = @_;
		my @c = columns($t) or return 'select 1';
		my $c = pick(@c);
		my $v = $c->[0] eq 'id' ? 'id + 100' : value($c->[1]);
		return "update $t set $c->[0] = $v where ctid in (select ctid from $t order by ctid limit " . (1 + rnd(3)) . ')';
	},
	sub { "delete from $_[0] where ctid in (select ctid from $_[0] order by ctid limit 1)" },
	sub { rnd(6) ? insert_sql($_[0]) : "truncate $_[0]" });

sub create_sql
{
	my $kind = rnd(4);
	my $name = pick('public', 'public', 'z') . '.' . new_name();
	return "create table $name (id int" . ($kind ? ' primary key' : '') . ', ' . join(', ', map { "$_ " . new_type() } 'a', 'b') . ')'
	  . ($kind ? '' : "; alter table $name replica identity full");
}
my @ddl = (
	sub { my ($t) = @_; my ($s) = $t =~ /^(\w+)\./; "alter table $t rename to " . new_name() },
	sub { "alter table $_[0] set schema " . pick('public', 'z') },
	sub {    # swap by rename
		my ($t) = @_;
		my ($s, $n) = split /\./, $t;
		my @o = grep { $_ ne $t && /^\Q$s\E\./ } tables() or return 'select 1';
		my $o = (split /\./, pick(@o))[1];
		"begin; alter table $s.$n rename to swap_x; alter table $s.$o rename to $n; alter table $s.swap_x rename to $o; commit";
	},
	sub { "drop table $_[0]" },
	sub {    # made anew
		my ($t) = @_;
		my $sql = "drop table $t; create table $t (id int primary key, a " . new_type() . ')';
		rnd(2) ? "begin; $sql; insert into $t (id) values (" . rnd(9) . '); commit' : $sql;
	},
	sub { create_sql() },
	sub { create_sql() },
	sub { "alter table $_[0] add " . new_column() . ' ' . new_type() },
	sub { "alter table $_[0] add " . new_column() . ' ' . pick(q{int default 5}, q{text not null default 'it''s'}, q{numeric(12,2) default 1.50}, q{boolean default true}) },
	sub { "alter table $_[0] add " . new_column() . ' int default (random() * 10)::int' },
	sub { my @c = grep { $_->[0] ne 'id' } columns($_[0]) or return 'select 1'; "alter table $_[0] drop " . pick(@c)->[0] },
	sub { my @c = columns($_[0]) or return 'select 1'; "alter table $_[0] rename " . pick(@c)->[0] . ' to ' . new_column() },
	sub {    # two columns swap names
		my @c = columns($_[0]);
		return 'select 1' if @c < 2;
		my ($x, $y) = ($c[0][0], $c[-1][0]);
		"begin; alter table $_[0] rename $x to swap_x; alter table $_[0] rename $y to $x; alter table $_[0] rename swap_x to $y; commit";
	},
	sub {    # dropped and added again
		my @c = grep { $_->[0] ne 'id' } columns($_[0]) or return 'select 1';
		my $c = pick(@c)->[0];
		"begin; alter table $_[0] drop $c; alter table $_[0] add $c " . new_type() . '; commit';
	},
	sub { my @c = columns($_[0]) or return 'select 1'; my $c = pick(@c)->[0]; my $type = new_type(); "alter table $_[0] alter $c type $type using $c\::text::$type" },
	sub { my @c = columns($_[0]) or return 'select 1'; "alter table $_[0] alter " . pick(@c)->[0] . ' type text' },
	sub { my @c = columns($_[0]) or return 'select 1'; "alter table $_[0] alter " . pick(@c)->[0] . pick(' set not null', ' drop not null') },
	sub { my @c = columns($_[0]) or return 'select 1'; "begin; alter table $_[0] add primary key (" . pick(@c)->[0] . "); alter table $_[0] replica identity default; commit" },
	sub {
		my $c = ask("select quote_ident(conname) from pg_constraint where conrelid = '$_[0]'::regclass and contype = 'p'") or return 'select 1';
		"begin; alter table $_[0] drop constraint $c; alter table $_[0] replica identity full; commit";
	},
	sub { "alter table $_[0] replica identity " . (ask("select count(*) from pg_constraint where conrelid = '$_[0]'::regclass and contype = 'p'") ? pick('full', 'default') : 'full') },
	sub { "vacuum full $_[0]" },
	sub { "analyze $_[0]; grant select on $_[0] to public" },
	sub { "begin; savepoint s; alter table $_[0] add lost int default 3; insert into $_[0] default values; rollback to s; alter table $_[0] add found int; commit" },
	sub { "begin; drop table $_[0]; rollback" });

sub step
{
	my @t = tables();
	return try_sql(create_sql()) if !@t;
	my $t = pick(@t);
	try_sql((rnd(3) ? pick(@rows) : pick(@ddl))->($t));
	# one whose key column went would have rows that nobody can find
	try_sql("alter table $_ replica identity full")
	  for split /\n/, ask("select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where $wanted and c.relreplident = 'd' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary) order by c.oid");
	return;
}

# ---- both sides ----

# A table's rows by the names of its columns at the source; undef: not there.
sub content
{
	my ($cluster, $t, @names) = @_;
	my $list = join ', ', @names;
	my $r = $cluster->try_psql($db, "select coalesce(string_agg(x::text, E'\\n' order by x::text collate \"C\"), '') from (select $list from $t) x");
	return $r->{code} ? "-- $r->{err}" : $r->{out};
}
sub outstanding
{
	my %found;
	for (split /\n/, $target->psql($db, q{select concat_ws(E'\t', format('%I.%I', source_schema, source_table), reason, state) from cdc_s3.resync}))
	{
		my ($t, $reason, $state) = split /\t/;
		$found{$t} = "$reason $state";
	}
	return %found;
}
sub differences
{
	my %out = outstanding();
	my @bad;
	for my $t (tables())
	{
		my @names = map { $_->[0] } columns($t);
		next if $out{$t};
		my ($s, $d) = map { content($_, $t, @names) } $source, $target;
		push @bad, "$t\nsource:\n$s\ntarget:\n$d\n" if $s ne $d;
	}
	return @bad;
}

sub merge
{
	my ($cdc, $round) = @_;
	$cdc->wait_durable or return "not durable: " . $cdc->{run}->errors;
	my $r = $cdc->call('merge', '--merge.until=now');
	return "merge: exit $r->{code}: $r->{err}\n$r->{out}" if $r->{code} != 0 && $r->{code} != 8;
	my %out = outstanding();
	my $want = %out ? 8 : 0;
	return "merge: exit $r->{code}, not $want: $r->{err}\n$r->{out}" if $r->{code} != $want;
	my @bad = differences();
	return @bad ? "differs: @bad\n$r->{err}" : undef;
}

# What stands in resync is loaded and merged, until nothing does.
sub heal
{
	my ($cdc) = @_;
	for (1 .. 4)
	{
		my %out = outstanding();
		my %there = map { $_ => 1 } tables();
		my @ask = grep { $there{$_} && $out{$_} !~ /blocked|left/ } sort keys %out;
		return join ', ', map { "$_ $out{$_}" } sort keys %out if !@ask && %out;
		return '' if !@ask;
		my $r = $cdc->call('snapshot', '--wait', @ask);
		return "snapshot: $r->{err}$r->{out}" if $r->{code};
		my $why = merge($cdc);
		return $why if $why;
	}
	my %out = outstanding();
	return join ', ', map { "$_ $out{$_}" } sort keys %out;
}

# What the log says of tables.
sub said
{
	my ($cdc) = @_;
	return map {
		my $e = $_;
		map { "entry $e->{entry}: " . JSON::PP->new->canonical->encode($_) . "\n" } @{ $e->{loads} }, @{ $e->{schemas} }
	} $cdc->entries;
}

for my $seed (@seeds)
{
	$db = "ddl$seed";
	$state = $seed * 7919;
	rnd(2) for 1 .. 10;
	@trace = ();
	$names = 10;
	$_->psql('postgres', "create database $db") for $source, $target;
	my $cdc = sidecar($source, $db, file_store(), target => $target, slot => "ddl$seed", flags => ['--flush.interval=1s']);
	my $extension = rnd(2);
	if ($extension)
	{
		my $script = slurp(top_folder() . '/plugin/cdc_s3--1.0.sql');
		$script =~ s/^\\echo.*$//m;
		ask("create schema cdc_s3; $script");
	}
	ask('create schema z');
	try_sql(create_sql()) for 1 .. 3;
	step() for 1 .. 10;
	$cdc->ok('init');
	my $run = $cdc->start;
	my $why = $cdc->wait_loaded ? undef : 'not loaded: ' . $run->errors;
	for my $round (1 .. $rounds)
	{
		last if $why;
		push @trace, "-- round $round";
		step() for 1 .. 6 + rnd(20);
		$why = merge($cdc, $round);
	}
	$why //= heal($cdc) || undef;
	is($why, undef, "seed $seed, " . ($extension ? 'with' : 'without') . ' the extension') or diag join(";\n", @trace), "\n", said($cdc);
	$run->signal('TERM');
	is($run->wait, 0, "seed $seed: run ends") or diag $run->errors;
	$source->psql('postgres', "select pg_drop_replication_slot('ddl$seed')");
	$_->psql('postgres', "drop database $db") for $source, $target;
}
done_testing;
