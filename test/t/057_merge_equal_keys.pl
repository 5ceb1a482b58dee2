#-------------------------------------------------------------------------
# Keys that are different at the source and equal at the target only, and
# keys that the target's type cannot hold: never one row for two, in silence.
#
# Each pair of types is a table; all tables share one lake, merged by both
# roles, by each way, in one merge and entry by entry.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $target = new_cluster('target')->start;
$target->psql('postgres', 'create role plain login');
my $ci = q(collation public.ci);

# Two keys of the source that are one at the target, and a third one.
# name => [ source type, target type, a, b, c ]; words as in CdcS3::Lake::table
my %twins = (
	ci_text => [ ['text'], 'public.citext', '"ab"', '"AB"', '"c"' ],
	collations => [ ['text'], 'text collate public.ci', '"ab"', '"aB"', '"c"' ],
	varchar_collation => [ [ 'varchar', 'typmod=9' ], 'varchar(5) collate public.ci', '"ab"', '"aB"', '"c"' ],
	shifted => [ ['text'], 'text collate public.shifted', '"deluxe"', '"de-luxe"', '"c"' ],
	domains => [ ['text'], 'public.ci_name', '"ab"', '"AB"', '"c"' ],
);
# The second one does not survive.
my %lossy = (
	chars => [ ['text'], 'char(5)', '"ab"', '"ab "' ],
	char_long => [ [ 'varchar', 'typmod=14' ], 'char(2)', '"ab"', '"ab   "' ],
	varchars => [ ['text'], 'varchar(3)', '"abc"', '"abc  "' ],
	integral => [ ['numeric'], 'numeric(10,0)', '1', '1.4' ],
	scale => [ [ 'numeric', 'typmod=655366' ], 'numeric(12,1)', '1.5', '1.52' ],
	a_domain => [ ['numeric'], 'public.whole', '1', '1.4' ],
	doubles => [ ['numeric'], 'float8', '0.1', '0.10000000000000000555' ],
	big => [ ['int8'], 'float8', '9007199254740992', '9007199254740993' ],
	seconds => [ ['timestamptz'], 'timestamptz(0)', '"2026-11-21T08:00:00Z"', '"2026-11-21T08:00:00.25Z"' ],
	day => [ ['timestamp'], 'date', '"2026-11-21T00:00:00"', '"2026-11-21T08:00:00"' ],
	uuids => [ ['text'], 'uuid', '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"', '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"' ],
	times => [ ['time'], 'time(0)', '"08:00:00"', '"08:00:00.1"' ],
);
# Two ways to write one key of the source: one row, as ever.
my %same = (
	numerics => [ ['numeric'], 'numeric', '1.0', '1.00' ],
	numeric_scale => [ ['numeric'], 'numeric(10,2)', '1.5', '1.500' ],
	numeric_double => [ ['numeric'], 'float8', '1.5', '1.50' ],
	floats => [ ['float8'], 'float8', '0', '-0' ],
	float_numeric => [ ['float8'], 'numeric', '0', '-0' ],
	citext_citext => [ [ 'citext', 'type_schema=public', 'oid=16999' ], 'public.citext', '"ab"', '"AB"' ],
	char_char => [ [ 'bpchar', 'typmod=12' ], 'char(3)', '"ab      "', '"ab"' ],
	instant => [ ['timestamptz'], 'timestamptz(3)', '"2026-11-21T08:00:00Z"', '"2026-11-21T09:00:00+01"' ],
	date_time => [ ['date'], 'timestamptz', '"2026-11-21"', '"2026-11-21"' ],
);

sub sorted { my ($set) = @_; return sort keys %$set }

sub create
{
	return join '', map { my $set = $_; map { "create table $_ (k $set->{$_}[1] primary key, v int, big text default 'mine');" } sorted($set) } @_;
}

$target->psql('postgres', 'create database model owner plain');
$target->psql('model', <<'SQL');
create extension citext;
create collation public.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create collation public.shifted (provider = icu, locale = 'und-u-ka-shifted', deterministic = false);
create domain public.ci_name as text collate public.ci;
create domain public.whole as numeric(10,0);
alter schema public owner to plain;
SQL

my $databases = 0;

sub database
{
	my ($ddl) = @_;
	my $db = 'd' . ++$databases;
	$target->psql('postgres', "create database $db template model owner plain");
	$target->psql($db, $ddl, user => 'plain');
	return $db;
}

my ($lake, $at);

sub lake
{
	my ($name) = @_;
	$at = 0x2000;
	$lake = CdcS3::Lake->new(folder => temp_folder() . "/lake_$name");
	return $lake;
}

# Rows [ table, op, key, v, old key ]; v '~': the third column did not change.
sub entry
{
	my ($rows, %o) = @_;
	my $n = 0;
	$at += 0x1000;
	$lake->entry(
		end => $at,
		rows => [
			map {
				my ($t, $op, $k, $v, $old) = @$_;
				my %meta = defined $old ? (_key => qq({"k":$old})) : ();
				my %row = (k => $k, $op eq 'd' ? () : (v => $v, big => '"big"'));
				if (defined $v && $v =~ s/~//)
				{
					delete $row{big};
					$row{v} = $v;
					$meta{_unchanged} = '["big"]';
				}
				[ $t, $op, $at - 16, ++$n, \%row, \%meta ]
			} @$rows
		],
		%o);
	return $at;
}

sub tables
{
	my ($set) = @_;
	return { map { $_ => $lake->table("public.$_", key => ['k'], columns => [ [ k => @{ $set->{$_}[0] }, 'pk' ], [ v => 'int4' ], [ big => 'text' ] ]) }
		  keys %$set };
}

# Transactions number $n of all histories: [ op, letter of the key, … ].
sub transaction
{
	my ($n, @histories) = @_;
	my @rows;
	for my $h (@histories)
	{
		for my $name (sorted($h->{set}))
		{
			my (undef, undef, @keys) = @{ $h->{set}{$name} };
			my %key;
			@key{qw(a b c)} = @keys;
			push @rows, map { my ($op, $k, $v, $old) = @$_; [ $h->{tables}{$name}, $op, $key{$k}, $v, $old && $key{$old} ] }
			  @{ $h->{steps}[$n] // [] };
		}
	}
	return entry(\@rows);
}

sub merge
{
	my ($db, $role, @flags) = @_;
	return run_cdc('merge', "--store.url=file://$lake->{folder}", '--until=now', '--merge.on_reject=continue',
		'--target.conninfo=' . $target->conninfo($db, user => $role), @flags);
}

# One line a table: its rows, and what was rejected, by number of the transaction.
sub lines
{
	my ($db, $ends, @sets) = @_;
	my $ends_ = join ',', @$ends;
	return $target->psql($db, join ' union all ', map {
			"select '$_: ' || (select coalesce(string_agg(k::text || '=' || v || coalesce(big, '-'), ' ' order by v), '') from $_) || ';'"
			  . " || (select coalesce(string_agg(' ' || array_position(array[$ends_], (lsn - '0/0')::int + 16) || op, '' order by lsn, seq), '')"
			  . " from cdc_s3.rejected where source_table = '$_')"
	  } map { sorted($_) } @sets);
}

sub expected
{
	my ($db, $h, $name) = @_;
	my (undef, $type, @keys) = @{ $h->{set}{$name} };
	my @rows = map { my ($k, $rest) = /^(.)(.*)/; "(\$\$" . ($keys[ ord($k) - ord 'a' ] =~ s/"//gr) . "\$\$::$type)::text || '$rest'" } @{ $h->{rows} };
	return "select '$name: ' || " . join("|| ' ' ||", @rows) . " || '; $h->{rejected}'";
}

sub merged
{
	my ($role, $way, $histories, $all, @ends) = @_;
	my @sets = map { $_->{set} } @$histories;
	my $db = database(create(@sets));
	for my $end (@ends)
	{
		my $r = merge($db, $role, "--merge.way=$way", '--until=' . CdcS3::Lake::lsn($end));
		# a line ends with the first later change of its key that passes
		ok($r->{code} == 8 || ($r->{code} == 0 && $end != $ends[-1]), 'merged, and what is outstanding is told')
		  or return diag $r->{err};
	}
	my $want = $target->psql($db, join ' union all ', map { my $h = $_; map { expected($db, $h, $_) } sorted($h->{set}) } @$histories);
	$want =~ s/; $/;/mg;
	is(lines($db, $all, @sets), $want, 'rows and rejections');
	for my $h (@$histories)
	{
		my $names = join ',', map { "'$_'" } sorted($h->{set});
		is($target->psql($db, "select distinct reason from cdc_s3.rejected where source_table in ($names) and reason !~ '$h->{reason}'"),
			'', "$h->{reason}: each is named so");
	}
	$target->psql('postgres', "drop database $db");
	return;
}

lake('histories');
my %twin = (
	set => \%twins,
	rows => [ 'a=15big', 'c=16big' ],
	rejected => '16u',
	reason => 'equal at the target to key',
	steps => [
		[ [ 'i', 'a', 1 ], [ 'i', 'b', 2 ] ], # 1
		[ [ 'u', 'b', 3 ] ],
		[ [ 'u', 'b', '4~' ] ],
		[ [ 'u', 'a', '5~' ] ],
		[ [ 'd', 'b' ] ], # 5
		[ [ 'i', 'b', 6 ] ],
		[ [ 'd', 'a' ] ],
		[ [ 'u', 'b', 7 ] ],
		[ [ 'i', 'a', 8 ] ],
		[ [ 'd', 'a' ] ], # 10
		[ [ 'u', 'a', '9~', 'b' ] ],
		[ [ 'd', 'a' ] ],
		[ [ 'u', 'b', 14 ] ],
		[ [ 'd', 'b' ], [ 'i', 'a', 15 ] ],
		[ [ 'i', 'c', 16 ] ], # 15
		[ [ 'u', 'b', 17, 'c' ] ]
	]);
my %loss = (
	set => \%lossy,
	rows => ['a=8big'],
	rejected => '10u',
	reason => 'does not survive the target',
	steps => [
		[ [ 'i', 'a', 1 ], [ 'i', 'b', 2 ] ], # 1
		[ [ 'u', 'b', 3 ] ],
		[ [ 'u', 'b', '4~' ] ],
		[ [ 'u', 'a', '5~' ] ],
		[ [ 'd', 'b' ] ], # 5
		[ [ 'd', 'a' ] ],
		[ [ 'u', 'b', 7 ] ],
		[ [ 'i', 'a', 8 ] ],
		[ [ 'd', 'b' ] ],
		[ [ 'u', 'b', 10, 'a' ] ] # 10
	]);
my %one = (
	set => \%same,
	rows => ['a=8big'],
	rejected => '',
	reason => 'none',
	steps => [
		[ [ 'i', 'a', 1 ] ], # 1
		[ [ 'u', 'b', '2~' ] ],
		[ [ 'd', 'a' ], [ 'i', 'b', 3 ] ],
		[ [ 'i', 'a', 4 ] ],
		[ [ 'u', 'b', 5, 'a' ] ], # 5
		[ [ 'd', 'a' ] ],
		[ [ 'i', 'b', 7 ] ],
		[ [ 'u', 'a', '8~' ] ]
	]);
$_->{tables} = tables($_->{set}) for \%twin, \%loss, \%one;
my @ends = map { transaction($_, \%twin, \%loss, \%one) } 0 .. 15;
for my $role (qw(plain postgres))
{
	for my $way (qw(auto fast exact))
	{
		subtest "$role, $way, one merge" => sub { merged($role, $way, [ \%twin, \%loss, \%one ], \@ends, $ends[-1]) };
		subtest "$role, $way, one merge a transaction" => sub { merged($role, $way, [ \%twin, \%loss, \%one ], \@ends, @ends) };
	}
}

# ---- other histories, of one table t, by each way and both roles ----

# ddl of the target; transactions as lists of [ op, columns, meta ]
sub each_way
{
	my ($name, $table, $ddl, $rows, $rejected, @transactions) = @_;
	my %o = ref $transactions[-1] eq 'HASH' ? %{ pop @transactions } : ();
	lake("other_" . ++$databases);
	my $t = $lake->table('public.t', @$table);
	for (@transactions)
	{
		my $n = 0;
		$at += 0x1000;
		my @r = map { my ($op, @more) = @$_; [ $t, $op, $at - 16, ++$n, @more ] } @$_;
		$lake->entry(end => $at, rows => \@r);
	}
	$o{more}->($t) if $o{more};
	for my $role (qw(plain postgres))
	{
		for my $way (qw(auto fast exact))
		{
			my $db = database($ddl);
			my $r = merge($db, $role, "--merge.way=$way", '--merge.tables=*', @{ $o{flags} // [] });
			is($r->{code}, $rejected || $o{resync} ? 8 : 0, "$name, $role, $way") or diag $r->{err};
			is($target->psql($db, q(select string_agg(t::text, ' ' order by t::text collate "C") from t)), $rows, "$name, $role, $way: rows");
			is($target->psql($db, q(select coalesce(string_agg(op || seq, ' ' order by lsn, seq), '') from cdc_s3.rejected)),
				$rejected, "$name, $role, $way: rejected") or diag $target->psql($db, 'select reason from cdc_s3.rejected');
			is($target->psql($db, q(select coalesce(string_agg(reason, ' '), '') from cdc_s3.resync)), $o{resync} // '', "$name, $role, $way: resync");
			is($target->psql($db, $o{also}[0]), $o{also}[1], "$name, $role, $way: $o{also}[0]") if $o{also};
			$target->psql('postgres', "drop database $db");
		}
	}
	return;
}

my @k = (key => ['k'], columns => [ [ k => 'text', 'pk' ], [ v => 'int4' ] ]);

sub row { my ($op, $k, $v, @more) = @_; return [ $op, { k => "\"$k\"", defined $v ? (v => $v) : () }, @more ] }

each_way('both halves of a key', [ key => [qw(a k)], columns => [ [ a => 'int4', 'pk' ], [ k => 'text', 'pk' ], [ v => 'int4' ] ] ],
	'create table t (a int, k citext, v int, primary key (a, k))', '(1,AB,4) (2,AB,3)', '',
	[ map { [ 'i', $_ ] } { a => 1, k => '"ab"', v => 1 }, { a => 1, k => '"AB"', v => 2 }, { a => 2, k => '"AB"', v => 3 } ],
	[ [ 'd', { a => 1, k => '"ab"' } ], [ 'i', { a => 1, k => '"AB"', v => 4 } ] ]);

each_way('they trade places', \@k, 'create table t (k citext primary key, v int)', '(AB,1) (c,2)', '',
	[ row('i', 'ab', 1), row('i', 'c', 2) ],
	[ row('u', 'x', 1, { _key => '{"k":"ab"}' }), row('i', 'AB', 3), row('d', 'AB'), row('u', 'AB', 1, { _key => '{"k":"x"}' }) ]);

each_way('one goes at the end of the transaction', \@k, 'create table t (k citext primary key, v int)', '(AB,2)', '',
	[ row('i', 'ab', 1) ], [ row('i', 'AB', 2), row('d', 'ab') ]);

# more than are tried one without the other
each_way('many at once', \@k, 'create table t (k citext primary key, v int)', join(' ', map({ "(A$_,1)" } 31 .. 39), map({ "(a$_,1)" } 10 .. 30)),
	join(' ', map { "i$_" } 31 .. 51), [ map({ row('i', "a$_", 1) } 10 .. 39), map({ row('i', "A$_", 1) } 10 .. 39), map { row('d', "a$_") } 31 .. 39 ]);

each_way('a table without a unique index holds both', \@k, 'create table t (k citext, v int)', '(ab,3)', '',
	[ row('i', 'ab', 1), row('i', 'AB', 2), row('u', 'ab', 3) ], [ row('d', 'AB') ]);

each_way('a unique index that is coarser than its column', \@k,
	'create table t (k text, v int); create unique index on t (k collate ci)', '(ab,3)', 'i2',
	[ row('i', 'ab', 1), row('i', 'AB', 2) ], [ row('u', 'ab', 3) ]);

each_way('children stay with their row', \@k,
	'create table t (k citext primary key, v int); create table c (k citext references t on delete cascade on update cascade);'
	  . q(insert into t values ('ab', 0); insert into c values ('ab')),
	'(ab,1)', '',
	[ row('u', 'ab', 1), row('i', 'AB', 2) ], [ row('d', 'AB') ],
	{ also => [ 'select count(*) from c', 1 ] });

each_way('the target has the row under another form', \@k, q(create table t (k citext primary key, v int); insert into t values ('Ab', 9)),
	'(Ab,9)', '', [ row('i', 'ab', 1) ], [ row('u', 'ab', 2) ], [ row('d', 'ab') ]);

each_way('truncate', \@k, q(create table t (k citext primary key, v int)),
	'(AB,2)', '', [ row('i', 'ab', 1) ], [ [ 't', {} ], row('i', 'AB', 2) ]);

each_way('a partition whose bound tells more than the target', \@k, q(create table t (k citext primary key, v int)),
	'(AB,1)', '', [ row('i', 'AB', 1) ],
	[ [ 't', {}, { _partial => q([{"schema":"public","table":"t_ab","bound":"((k IS NOT NULL) AND (k = 'ab'::text))"}]) } ] ],
	{ resync => 'truncate' });

each_way('the type of the key changed', [ key => ['k'], columns => [ [ k => 'numeric', 'pk' ], [ v => 'int4' ] ] ],
	q(create table t (k citext primary key, v int)), '(A,2) (b,4)', 'u4',
	[ [ 'i', { k => 1, v => 0 } ], [ 'd', { k => 1 } ] ],
	{
		more => sub {
			my $t = $lake->table('public.t', @k);
			$at += 0x1000;
			$lake->entry(end => $at, rows => [ map { my ($op, @r) = @{ $_->[0] }; [ $t, $op, $at - 16, $_->[1], @r ] }
				  [ row('i', 'A', 2), 1 ], [ row('i', 'b', 3), 2 ], [ row('u', 'b', 4), 3 ], [ row('u', 'a', 5), 4 ] ]);
		}
	});

for my $again (0, 1)
{
	each_way('load' . ($again ? ', again' : ''), \@k, 'create table t (k citext primary key, v int);', $again ? '(AB,6) (c,2)' : '(AB,3) (c,2)',
		'',
		{
			more => sub {
				my ($t) = @_;
				for my $load ('a' .. ($again ? 'b' : 'a'))
				{
					$at += 0x1000;
					$lake->entry(end => $at, loads => [ [ $load, $t, 'open' ] ]);
					my $s = $at;
					my $n = 2**40;
					my $v = $load eq 'a' ? 1 : 4;
					$at += 0x1000;
					$lake->entry(end => $at, loads => [ [ $load, $t, 'done', $s ] ],
						load => { $load => [ map { my ($op, @r) = @$_; [ $t, $op, $s, ++$n, @r ] } row('r', 'ab', $v), row('r', 'AB', $v + 1), row('r', 'c', 2) ] });
					$at += 0x1000;
					$lake->entry(end => $at, rows => [ [ $t, 'd', $at - 16, 1, { k => '"ab"' } ], [ $t, 'i', $at - 16, 2, { k => '"AB"', v => $v + 2 } ] ]);
				}
			}
		});
}

subtest 'merge.on_reject=stop' => sub {
	lake('stop');
	my $t = $lake->table('public.t', @k);
	$at += 0x1000;
	$lake->entry(end => $at, rows => [ map { my ($op, @r) = @{ $_->[0] }; [ $t, $op, $at - 16, $_->[1], @r ] } [ row('i', 'ab', 1), 1 ], [ row('i', 'ab ', 2), 2 ] ]);
	for my $type ('char(5)', 'citext')
	{
		my $db = database("create table t (k $type primary key, v int)");
		my $r = run_cdc('merge', "--store.url=file://$lake->{folder}", '--until=now', '--target.conninfo=' . $target->conninfo($db));
		is($r->{code}, $type eq 'citext' ? 0 : 7, "$type: exit code");
		like($r->{err}, qr/^cdc-s3: .*ordinal 2 was refused: key value "ab " of column "k" does not survive the target's type character\(5\), where it becomes "ab"/m, 'and why')
		  if $r->{code};
		is($target->psql($db, 'select count(*) from t'), $type eq 'citext' ? 2 : 0, "$type: rows");
	}
};

done_testing;
