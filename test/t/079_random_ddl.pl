#-------------------------------------------------------------------------
# Random schema changes mixed with changes of rows, streamed and merged: after
# each merge every table is equal to the source's, or stands in cdc_s3.resync;
# after the loads that this asks for every table is equal.
#
# Meanwhile "run" and merges are killed, tables are loaded anew, and by seed the
# role of the merge is a superuser, one that owns the target's tables, or one
# that some of them are taken from, until the end.
#
#	DDL_SEEDS=1,7 or 1-50	which histories (default 1-4)
#	DDL_ROUNDS=n			merges a history (default 6)
#	DDL_CALM=1				nothing is killed or loaded; the statements are the same
#	DDL_ROLE=postgres		or owner, or some: not by seed
#	DDL_TRACE=1				says each statement
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep);

use CdcS3::Proc qw(poll slurp spawn);
use CdcS3::Sidecar;
use CdcS3::Test;

my @seeds = map { /^(\d+)-(\d+)$/ ? $1 .. $2 : $_ } split /,/, $ENV{DDL_SEEDS} // '1-4';
my $rounds = $ENV{DDL_ROUNDS} // 6;
my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$target->psql('postgres', 'create role plain login');

# Numbers of our own, so that a seed is a history on every machine.
my $state;
sub rnd
{
	my ($n) = @_;
	$state = ($state * 1103515245 + 12345) % 2147483648;
	return ($state >> 8) % $n;
}
sub pick { return $_[ rnd(scalar @_) ] }

# The same for what happens beside the history, which stays what it is without.
my $beside;
sub chance
{
	my ($n) = @_;
	$beside = ($beside * 1103515245 + 12345) % 2147483648;
	return ($beside >> 8) % $n;
}

my ($db, $role, @trace);

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
# What a table of the target says of the source's, by their names of now: its
# lines go by the last ones that the target has followed.
sub said_of
{
	my ($of, $what) = @_;
	my %now = map { split /\t/ } split /\n/, ask("select format(E'%s\t%I.%I', c.oid, n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where $wanted");
	my %found;
	for (split /\n/, $target->psql($db, "select concat_ws(E'\\t', coalesce(t.relation_id, 0), format('%I.%I', source_schema, source_table), $what) from $of left join cdc_s3.tables t using (system_identifier, database, slot, source_schema, source_table)"))
	{
		my ($oid, $t, $said) = split /\t/;
		$found{ $now{$oid} // $t } = $said;
	}
	return %found;
}
sub outstanding { return said_of('cdc_s3.resync', q{concat_ws(' ', reason, state, translate(detail, E'\n\t', '  '))}) }
sub loading { return said_of(q{(select * from cdc_s3.waiting where load_id <> '') w}, 'load_id') }
sub differences
{
	my %out = (outstanding(), loading());
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

# Merges that end in their middle; what they leave is for the next one.
sub killed_merges
{
	my ($cdc) = @_;
	return if $ENV{DDL_CALM};
	for (1 .. chance(3))
	{
		my $p = spawn(
			cmd => [ CdcS3::Sidecar::program(), 'merge', $cdc->flags, '--merge.until=now' ],
			log => temp_folder() . '/killed.log');
		sleep chance(300) / 1000;
		$p->stop('KILL');
	}
	return;
}

sub merge
{
	my ($cdc) = @_;
	$cdc->wait_durable or return 'not durable: ' . $cdc->{run}->errors;
	killed_merges($cdc);
	my $r = $cdc->call('merge', '--merge.until=now');
	return "merge: exit $r->{code}: $r->{err}\n$r->{out}" if $r->{code} != 0 && $r->{code} != 8;
	my %out = outstanding();
	my $want = %out ? 8 : 0;
	return "merge: exit $r->{code}, not $want: $r->{err}\n$r->{out}" if $r->{code} != $want;
	my @bad = differences();
	return @bad ? "differs: @bad\n$r->{err}" : undef;
}

# ---- what happens beside ----

# Tables of the target, made by merges, that are the role's or not.
sub target_tables
{
	my ($owner) = @_;
	return split /\n/, $target->psql($db, "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname in ('public', 'z') and pg_get_userbyid(c.relowner) = '$owner' order by c.oid");
}

sub take_away
{
	my @t = target_tables('plain') or return;
	my $t = $t[ chance(scalar @t) ];
	push @trace, "-- target: $t is not the role's any more";
	$target->psql($db, "alter table $t owner to postgres; grant select, insert, update, delete on $t to plain");
	return;
}
sub give_back
{
	my $sql = join '; ', map { "alter table $_ owner to plain" } target_tables('postgres');
	$target->psql($db, $sql) if $sql;
	return;
}

# "run" is killed and started again, or a table is to be loaded anew.
sub disturb
{
	my ($cdc) = @_;
	my $what = chance(20);
	return if $ENV{DDL_CALM};
	if ($what == 0)
	{
		push @trace, '-- run is killed';
		$cdc->{run}->stop('KILL');
		$source->wait_for_free_slot($cdc->{slot});
		$cdc->start;
	}
	elsif ($what == 1 && (my @t = tables()))
	{
		my $t = $t[ chance(scalar @t) ];
		push @trace, "-- snapshot $t";
		my $r = $cdc->call('snapshot', $t);
		return "snapshot $t: exit $r->{code}: $r->{err}" if $r->{code};
	}
	return;
}

# Loads that are under way are waited for; what stands in resync is loaded and
# merged, until nothing does.
sub heal
{
	my ($cdc) = @_;
	for (1 .. 4)
	{
		$cdc->wait_loaded or return 'loads do not end: ' . $cdc->{run}->errors;
		my $late = merge($cdc);
		return $late if $late;
		my %out = outstanding();
		my %there = map { $_ => 1 } tables();
		my @ask = grep { $there{$_} && $out{$_} !~ /^\S+ (?:blocked|left)/ } sort keys %out;
		return join ', ', map { "$_ $out{$_}" } sort keys %out if !@ask && %out;
		return '' if !@ask;
		my $r = $cdc->call('snapshot', '--wait', @ask);
		return "snapshot: $r->{err}$r->{out}" if $r->{code};
		my $why = merge($cdc);
		return $why if $why;
	}
	my %out = (outstanding(), loading());
	return join ', ', map { "$_ $out{$_}" } sort keys %out;
}

# What the target knows of them.
sub known
{
	return map { "$_:\n" . $target->psql($db, "select * from cdc_s3.$_ order by source_schema, source_table") . "\n" } qw(tables resync waiting);
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
	$beside = $seed * 104729;
	chance(2) for 1 .. 10;
	my $rights = $ENV{DDL_ROLE} // (qw(postgres owner some))[ chance(3) ];
	$role = $rights eq 'postgres' ? 'postgres' : 'plain';
	$source->psql('postgres', "create database $db");
	$target->psql('postgres', "create database $db owner $role");
	$target->psql($db, "alter schema public owner to $role");
	my $cdc = sidecar($source, $db, file_store(), slot => "ddl$seed",
		flags => [ '--flush.interval=1s', '--target.conninfo=' . $target->conninfo($db, user => $role) ]);
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
		for (1 .. 6 + rnd(20))
		{
			step();
			$why //= disturb($cdc);
		}
		take_away() if $rights eq 'some' && chance(2);
		$why //= merge($cdc);
	}
	give_back();
	$why //= heal($cdc) || undef;
	is($why, undef, "seed $seed, role: $rights, " . ($extension ? 'with' : 'without') . ' the extension')
	  or diag join(";\n", @trace), "\n", said($cdc), known();
	$run = $cdc->{run};
	$run->signal('TERM');
	is($run->wait, 0, "seed $seed: run ends") or diag $run->errors;
	$source->psql('postgres', "select pg_drop_replication_slot('ddl$seed')");
	$_->psql('postgres', "drop database $db") for $source, $target;
}
done_testing;
