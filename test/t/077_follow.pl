#-------------------------------------------------------------------------
# The target's tables follow the source's: names, identities, columns, types,
# keys, in one merge and in many, with merge.schema = follow, mirror and
# strict; what the target refuses waits.  Of lakes written by hand.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $target = new_cluster('target')->start;
my $databases = 0;
my ($db, $folder, $lake, $at, $seq, @rows, @said);

sub fresh
{
	$db = 'f' . ++$databases;
	$target->psql('postgres', "create database $db");
	$folder = temp_folder() . "/lake_$db";
	$lake = CdcS3::Lake->new(folder => $folder);
	$at = 0x2000;
	$seq = 0;
	@rows = @said = ();
	return;
}

sub psql { return $target->psql($db, $_[0]) }

sub try_merge
{
	my (@flags) = @_;
	my $user = @flags && $flags[0] !~ /^--/ ? shift @flags : 'postgres';
	return run_cdc('merge', "--store.url=file://$folder", '--target.conninfo=' . $target->conninfo($db, user => $user),
		'--merge.until=now', @flags);
}

sub merge
{
	my ($code, @flags) = @_;
	my $r = try_merge(@flags);
	is($r->{code}, $code, "merge: exit $code") or diag "$r->{out}$r->{err}";
	return "$r->{out}$r->{err}";
}

# A change, or what happened to a table, at the next position of a transaction.
sub change { my ($t, $op, @rest) = @_; push @rows, [ $t, $op, $at + 0x10, ++$seq, @rest ]; return }
sub said { my ($t, %o) = @_; push @said, { of => $t, lsn => $at + 0x10, seq => ++$seq, %o }; return }
sub commit { $at += 0x100; $seq = 0; return }

# What was said since the last one becomes an entry.
sub entry
{
	my %o = @_;
	$at += 0x100;
	$lake->entry(end => $at, rows => [@rows], schemas => [@said], %o);
	@rows = @said = ();
	$seq = 0;
	return;
}

my $oid = 20000;

# A table: its columns are [ attnum, name, type, words … ].
sub table
{
	my ($name, $id, @cols) = @_;
	return $lake->table($name, relation_id => $id, row_type => $id + 1,
		key => [ map { $_->[1] } grep { grep { $_ eq 'pk' } @$_ } @cols ],
		columns => [ map { my ($n, @c) = @$_; [ @c, "attnum=$n" ] } @cols ]);
}
my @id = (1, 'id', 'int4', 'pk');
my @v = (2, 'v', 'text');

sub rows_of { return psql("select coalesce(string_agg(x::text, ' ' order by x::text), '') from $_[0] x") }
sub resync { return psql(q(select coalesce(string_agg(concat_ws(' ', source_schema || '.' || source_table, reason, state), ';' order by source_schema, source_table), '') from cdc_s3.resync)) }

# The same history in one merge and in a merge an entry.
my $step;
sub each_way
{
	my ($name, $run) = @_;
	for my $way (qw(one many))
	{
		subtest "$name, $way" => sub {
			fresh();
			$step = sub { entry(@_); merge(0) if $way eq 'many'; return };
			$run->($way);
		};
	}
	return;
}
sub finish { entry(); merge($_[0] // 0); return }

# ---- names ----
each_way 'rename of a table' => sub {
	my $t = table('public.t', 20001, \@id, \@v);
	my $t2 = table('public.t2', 20001, \@id, \@v);
	my $z = table('z.t2', 20001, \@id, \@v);
	said($t, created => 1); change($t, 'i', { id => $_, v => "\"a$_\"" }) for 1 .. 3; $step->();
	said($t2); change($t2, 'u', { id => 2, v => '"b"' }); $step->();
	change($t2, 'd', { id => 1 }); $step->();
	said($z); $step->(); change($z, 'i', { id => 4, v => '"z"' }); finish();
	is(rows_of('z.t2'), '(2,b) (3,a3) (4,z)', 'rows are where the table is');
	is(psql(q(select to_regclass('public.t') is null and to_regclass('public.t2') is null)), 't', 'and nowhere else');
	is(resync(), '', 'nothing is to be loaded anew');
};
each_way 'two tables swap names' => sub {
	my ($t, $n) = map { table("public.$_->[0]", $_->[1], \@id, \@v) } [ 't', 20001 ], [ 'n', 20003 ];
	my ($t_as_n, $n_as_t) = map { table("public.$_->[0]", $_->[1], \@id, \@v) } [ 'n', 20001 ], [ 't', 20003 ];
	said($t, created => 1); change($t, 'i', { id => 1, v => '"t"' });
	said($n, created => 1); change($n, 'i', { id => 1, v => '"n"' }); $step->();
	change($t, 'i', { id => 2, v => '"t2"' }); commit();
	said($n_as_t); said($t_as_n); commit();
	change($n_as_t, 'i', { id => 3, v => '"new t"' }); change($t_as_n, 'd', { id => 1 }); finish();
	is(rows_of('t'), '(1,n) (3,"new t")', 'one');
	is(rows_of('n'), '(2,t2)', 'and the other');
};
each_way 'rebuilt and swapped, the old one dropped' => sub {
	my $t = table('public.t', 20001, \@id, \@v);
	my $n = table('public.t_new', 20003, [ 1, 'id', 'int8', 'pk' ], \@v);
	my $t_old = table('public.t_old', 20001, \@id, \@v);
	my $n_as_t = table('public.t', 20003, [ 1, 'id', 'int8', 'pk' ], \@v);
	said($t, created => 1); change($t, 'i', { id => $_, v => '"old"' }) for 1, 2; $step->();
	said($n, created => 1); change($n, 'i', { id => $_, v => '"rebuilt"' }) for 1, 2; commit();
	said($t_old); said($n_as_t); commit();
	said($t_old, gone => 1); commit();
	change($n_as_t, 'i', { id => 3, v => '"after"' }); finish();
	is(rows_of('t'), '(1,rebuilt) (2,rebuilt) (3,after)', 'the rows of the one that has the name');
	is(psql(q(select format_type(atttypid, -1) from pg_attribute where attrelid = 't'::regclass and attname = 'id')), 'bigint', 'and its columns');
	is(rows_of('t_old'), '(1,old) (2,old)', 'what was dropped stays under its last name') if $_[0] eq 'many';
	is(psql(q(select to_regclass('t_old') is null)), 't', 'what came and went between two merges is nowhere') if $_[0] eq 'one';
};
each_way 'dropped and made anew, several times' => sub {
	my @t = map { table('public.t', 20001 + 2 * $_, \@id, \@v) } 0 .. 3;
	for my $i (0 .. 3)
	{
		said($t[$i], created => 1);
		change($t[$i], 'i', { id => $_, v => "\"life $i\"" }) for 1 .. 3 - $i;
		$step->() if $i == 0;
		commit();
		said($t[$i], gone => 1) if $i < 3;
		commit();
	}
	finish();
	is(rows_of('t'), '', 'the last one has no rows');
	change($t[3], 'i', { id => 7, v => '"now"' }); finish();
	is(rows_of('t'), '(7,now)', 'and gets its own');
	is(psql(q(select count(*) from pg_class where relname like 't_dropped_%' and relkind = 'r')), $_[0] eq 'many' ? 1 : 0, 'what held data is kept');
};
each_way 'swap with a third name, in one transaction with rows between' => sub {
	my ($t, $n) = map { table("public.$_->[0]", $_->[1], \@id, \@v) } [ 't', 20001 ], [ 'n', 20003 ];
	my ($t_as_n, $n_as_t) = map { table("public.$_->[0]", $_->[1], \@id, \@v) } [ 'n', 20001 ], [ 't', 20003 ];
	said($t, created => 1); change($t, 'i', { id => 1, v => '"t"' });
	said($n, created => 1); change($n, 'i', { id => 1, v => '"n"' }); $step->();
	said($n_as_t); change($n_as_t, 'i', { id => 5, v => '"between"' }); said($t_as_n); commit();
	change($t_as_n, 'i', { id => 6, v => '"after"' }); finish();
	is(rows_of('t'), '(1,n) (5,between)', 'one');
	is(rows_of('n'), '(1,t) (6,after)', 'and the other');
};

# ---- columns ----
each_way 'columns that are renamed, swapped, dropped and made anew' => sub {
	my $t1 = table('public.t', 20001, \@id, [ 2, 'a', 'text' ], [ 3, 'b', 'text' ], [ 4, 'c', 'int4' ]);
	my $t2 = table('public.t', 20001, \@id, [ 2, 'b', 'text' ], [ 3, 'a', 'text' ], [ 5, 'c', 'text' ]);
	said($t1, created => 1); change($t1, 'i', { id => $_, a => '"a"', b => '"b"', c => 1 }) for 1, 2, 3; $step->();
	change($t1, 'u', { id => 3, a => '"a3"', b => '"b3"', c => 3 }); commit();
	said($t2); change($t2, 'u', { id => 1, b => '"B"', a => '"A"', c => '"C"' }); finish();
	is(psql("select string_agg(concat_ws('|', id, a, b, coalesce(c, '-')), ' ' order by id) from t"), '1|A|B|C 2|b|a|- 3|b3|a3|-', 'values go with their columns');
	like(psql(q(select string_agg(attname, ' ' order by attnum) from pg_attribute where attrelid = 't'::regclass and attnum > 0)),
		$_[0] eq 'many' ? qr/^id b a c_dropped_[0-9A-F]{16} c$/ : qr/^id b a c$/, 'what held data is kept beside');
};
each_way 'columns that come again long after they went' => sub {
	my @t = map { table('public.t', 20001, \@id, @$_) }
	  [ [ 2, 'a', 'text' ], [ 3, 'b', 'text' ] ], [ [ 3, 'b', 'text' ] ], [ [ 3, 'b', 'text' ], [ 4, 'a', 'text' ] ], [ [ 4, 'a', 'text' ] ], [ [ 4, 'b', 'text' ] ];
	said($t[0], created => 1); change($t[0], 'i', { id => $_, a => '"old"', b => '"b"' }) for 1, 2; $step->();
	said($t[1]); change($t[1], 'i', { id => 3, b => '"b3"' }); $step->();
	said($t[2]); change($t[2], 'u', { id => 2, b => '"b"', a => '"new"' }); $step->();
	is(psql("select string_agg(concat_ws('|', id, b, coalesce(a, '-')), ' ' order by id) from t"), '1|b|- 2|b|new 3|b3|-', 'rows of before do not have its values') if $_[0] eq 'many';
	said($t[3]); $step->(); said($t[4]); change($t[4], 'i', { id => 4, b => '"B"' }); finish();
	is(psql("select string_agg(concat_ws('|', id, coalesce(b, '-')), ' ' order by id) from t"), '1|- 2|new 3|- 4|B', 'nor has one that is renamed to such a name');
};
each_way 'a column with a default' => sub {
	my $t1 = table('public.t', 20001, \@id);
	my $t2 = table('public.t', 20001, \@id, [ 2, 'd', 'int4', 'not_null', 'missing=5' ], [ 3, 'w', 'text', "missing=a'b\tc\\" ]);
	said($t1, created => 1); change($t1, 'i', { id => $_ }) for 1, 2; $step->();
	change($t1, 'i', { id => 3 }); commit(); # in one merge with the next
	said($t2); commit();
	change($t2, 'i', { id => 4, d => 7, w => 'null' }); finish();
	is(psql(q(select string_agg(id || ':' || d || ':' || coalesce(w = E'a''b\tc\\\\', false)::text, ' ' order by id) from t)),
		'1:5:true 2:5:true 3:5:true 4:7:false', 'rows from before have it');
	is(psql(q(select count(*) from pg_attrdef where adrelid = 't'::regclass)), 0, 'as the value of rows, not as a default');
};
# Rows come under one key, and are told whole under another one, or under none:
# what they have in columns that were added between is there by then.
for my $before ('known before', 'made in the range')
{
	each_way "a column with a default and another key, $before" => sub {
		my ($way) = @_;
		# each entry of a table that is known would be a transaction of its own
		my $next = $way eq 'one' ? \&commit : $step;
		my $t = table('public.t', 20001, \@id, \@v);
		my @full = ([ id => 'int4', 'attnum=1', 'not_null' ], [ v => 'text', 'attnum=2' ], [ d => 'int4', 'attnum=3', 'missing=5' ]);
		my %full = (identity => 'f', relation_id => 20001, row_type => 20002);
		my $bag = $lake->table('public.t', %full, columns => [@full]);
		my $wide = $lake->table('public.t', %full, columns => [ @full, [ e => 'bool', 'attnum=4', 'missing=t' ] ]);
		my @now = ([ 2, 'v', 'text', 'not_null', 'pk' ], [ 3, 'd', 'int4', 'missing=5' ], [ 4, 'e', 'bool', 'missing=t' ], [ 5, 'f', 'text', 'missing=x' ]);
		my $now = table('public.t', 20001, [ 1, 'id', 'int4' ], @now);
		said($t, created => 1); change($t, 'i', { id => 1, v => '"a"' });
		if ($before eq 'known before') { entry(); merge(0) }
		else { $next->() }
		change($t, 'i', { id => $_, v => "\"$_\"" }) for 2 .. 4;
		change($t, 'u', { id => 4, v => '"four"' }); $next->();
		said($bag); change($bag, 'u', { id => 2, v => '"b"', d => 6 }, { _before => '{"id":2,"v":"2","d":5}' }); $next->();
		change($bag, 'i', { id => 7, v => '"g"', d => 'null' }); $next->();
		said($wide);
		change($wide, 'u', { id => 1, v => '"aa"', d => 5, e => 'true' }, { _before => '{"id":1,"v":"a","d":5,"e":true}' });
		change($wide, 'd', { id => 3, v => '"3"', d => 5, e => 'true' });
		change($wide, 'u', { id => 2, v => '"bb"', d => 6, e => 'false' }, { _before => '{"id":2,"v":"b","d":6,"e":true}' }); $next->();
		said($now); change($now, 'u', { id => 70, v => '"g"', d => 'null', e => 'true', f => '"x"' }); finish();
		is(rows_of('t'), '(1,aa,5,t,x) (2,bb,6,f,x) (4,four,5,t,x) (70,g,,t,x)', 'each row is found, and is whole');
		is(resync(), '', 'nothing is to be loaded anew');
	};
}
each_way 'a column with a default, of a table whose key is all columns' => sub {
	my %full = (identity => 'f', relation_id => 20001, row_type => 20002);
	my $t1 = $lake->table('public.t', %full, columns => [ [ a => 'int4', 'attnum=1' ] ]);
	my $t2 = $lake->table('public.t', %full, columns => [ [ a => 'int4', 'attnum=1' ], [ d => 'int4', 'attnum=2', 'missing=5' ] ]);
	said($t1, created => 1); change($t1, 'i', { a => $_ }) for 1, 1, 2; $step->();
	change($t1, 'd', { a => 1 }); commit();
	said($t2); commit();
	change($t2, 'd', { a => 2, d => 5 }); change($t2, 'u', { a => 1, d => 6 }, { _before => '{"a":1,"d":5}' }); finish();
	is(rows_of('t'), '(1,6)', 'old rows are found');
};
each_way 'a column dropped and added, of a table whose key is all columns' => sub {
	my %full = (identity => 'f', relation_id => 20001, row_type => 20002);
	my $t1 = $lake->table('public.t', %full, columns => [ [ a => 'int4', 'attnum=1' ], [ b => 'int4', 'attnum=2' ] ]);
	my $t2 = $lake->table('public.t', %full, columns => [ [ a => 'int4', 'attnum=1' ], [ b => 'text', 'attnum=3' ] ]);
	said($t1, created => 1); change($t1, 'i', { a => $_, b => 7 }) for 1 .. 3; $step->();
	change($t1, 'i', { a => 4, b => 8 }); change($t1, 'd', { a => 1, b => 7 }); commit();
	said($t2); change($t2, 'u', { a => 2, b => '"B"' }, { _before => '{"a":2,"b":null}' }); change($t2, 'd', { a => 4, b => 'null' }); finish();
	is(psql(q(select string_agg(a || ':' || coalesce(b, '-'), ' ' order by a) from t)), '2:B 3:-', 'rows are found without what was dropped');
};
each_way 'NOT NULL that goes' => sub {
	my $t1 = table('public.t', 20001, \@id, [ 2, 'a', 'text', 'not_null' ], [ 3, 'b', 'text', 'not_null' ]);
	my $t2 = table('public.t', 20001, \@id, [ 2, 'a', 'text' ]);
	said($t1, created => 1); change($t1, 'i', { id => 1, a => '"a"', b => '"b"' }); $step->();
	said($t2); change($t2, 'i', { id => 2, a => 'null' }); finish();
	is(rows_of('t'), $_[0] eq 'many' ? '(1,a,b) (2,,)' : '(1,a) (2,)', 'NULLs come');
};
each_way 'types' => sub {
	my $t1 = table('public.t', 20001, \@id, [ 2, 'n', 'int4' ], [ 3, 's', 'text' ]);
	my $t2 = table('public.t', 20001, \@id, [ 2, 'n', 'int8' ], [ 3, 's', 'text' ]);
	my $t3 = table('public.t', 20001, \@id, [ 2, 'n', 'text' ], [ 3, 's', 'text' ]);
	said($t1, created => 1); change($t1, 'i', { id => 1, n => 1, s => '"x"' }); $step->();
	said($t2); change($t2, 'i', { id => 2, n => '5000000000', s => '"y"' }); $step->();
	said($t3); change($t3, 'i', { id => 3, n => '"three"', s => '"z"' }); finish();
	is(rows_of('t'), '(1,1,x) (2,5000000000,y) (3,three,z)', 'values are cast');
	is(resync(), '', 'nothing is to be loaded anew');
};
subtest 'a type that values do not fit' => sub {
	fresh();
	my $t1 = table('public.t', 20001, \@id, [ 2, 's', 'text' ]);
	my $t2 = table('public.t', 20001, \@id, [ 2, 's', 'int4' ]);
	said($t1, created => 1); change($t1, 'i', { id => 1, s => '"one"' }); entry(); merge(0);
	change($t1, 'i', { id => 2, s => '"two"' }); commit();
	said($t2); change($t2, 'i', { id => 3, s => '3' }); entry();
	like(merge(8), qr/t is to be loaded anew|public\.t/, 'the table is to be loaded anew');
	is(psql('select s from t where id = 3'), '3', 'new rows come');
	is(resync(), 'public.t type resync', 'and the reason stands there');
};

# ---- keys ----
each_way 'the key moves to another column' => sub {
	my $t1 = table('public.t', 20001, [ 1, 'a', 'int4', 'pk' ], [ 2, 'b', 'int4', 'not_null' ]);
	my $t2 = table('public.t', 20001, [ 1, 'a', 'int4', 'not_null' ], [ 2, 'b', 'int4', 'pk' ]);
	said($t1, created => 1); change($t1, 'i', { a => $_, b => 100 + $_ }) for 1 .. 3; $step->();
	change($t1, 'u', { a => 1, b => 201 }); commit();
	said($t2); change($t2, 'i', { a => 1, b => 500 }); change($t2, 'd', { b => 102 }); finish();
	is(rows_of('t'), '(1,201) (1,500) (3,103)', 'rows are found by the new one');
	is(psql(q(select pg_get_constraintdef(oid) from pg_constraint where conrelid = 't'::regclass)), 'PRIMARY KEY (b)', 'and the target has it');
};
each_way 'the key is renamed, and goes' => sub {
	my $t1 = table('public.t', 20001, \@id, \@v);
	my $t2 = table('public.t', 20001, [ 1, 'no', 'int4', 'pk' ], \@v);
	my $t3 = $lake->table('public.t', relation_id => 20001, row_type => 20002, columns => [ [ no => 'int4', 'attnum=1' ], [ v => 'text', 'attnum=2' ] ]);
	said($t1, created => 1); change($t1, 'i', { id => $_, v => '"v"' }) for 1 .. 3; $step->();
	change($t1, 'u', { id => 1, v => '"u"' }); commit();
	said($t2); change($t2, 'u', { no => 2, v => '"w"' }); $step->();
	said($t3); change($t3, 'i', { no => 3, v => '"twice"' }); change($t3, 'i', { no => 'null', v => '"none"' }); finish();
	is(rows_of('t'), '(,none) (1,u) (2,w) (3,twice) (3,v)', 'rows of all three');
};
each_way 'the key column is dropped' => sub {
	my $t1 = table('public.t', 20001, \@id, [ 2, 'code', 'text', 'not_null' ]);
	my $t2 = table('public.t', 20001, [ 2, 'code', 'text', 'pk' ]);
	said($t1, created => 1); change($t1, 'i', { id => $_, code => "\"c$_\"" }) for 1 .. 3; $step->();
	change($t1, 'd', { id => 1 }); commit();
	said($t2); change($t2, 'i', { code => '"c4"' }); change($t2, 'd', { code => '"c2"' }); finish();
	is(psql("select string_agg(code, ' ' order by code) from t"), 'c3 c4', 'changes by either key count');
};

# ---- mirror, strict, map, left ----
subtest 'mirror drops' => sub {
	fresh();
	my $t1 = table('public.t', 20001, \@id, \@v);
	my $t2 = table('public.t', 20001, \@id);
	my $u = table('public.u', 20003, \@id);
	said($t1, created => 1); change($t1, 'i', { id => 1, v => '"v"' }); said($u, created => 1); change($u, 'i', { id => 1 }); entry(); merge(0, '--merge.schema=mirror');
	said($t2); change($u, 'i', { id => 2 }); commit(); said($u, gone => 1); change($t2, 'i', { id => 2 }); entry(); merge(0, '--merge.schema=mirror');
	is(rows_of('t'), '(1) (2)', 'the column is gone');
	is(psql(q(select to_regclass('u') is null)), 't', 'and so is the table');
	my $u2 = table('public.u', 20005, \@id, \@v);
	said($u2, created => 1); change($u2, 'i', { id => 5, v => '"again"' }); entry(); merge(0, '--merge.schema=mirror');
	is(rows_of('u'), '(5,again)', 'the next one of that name is another');
};
subtest 'strict stops and says what it needs' => sub {
	fresh();
	my $t1 = table('public.t', 20001, \@id, \@v);
	my $t2 = table('public.t2', 20001, \@id, [ 2, 'w', 'text' ]);
	psql('create table t (id int primary key, v text)');
	my @strict = ('--merge.schema=strict');
	said($t1, created => 1); change($t1, 'i', { id => 1, v => '"v"' }); entry(); merge(0, @strict);
	said($t2); change($t2, 'i', { id => 2, w => '"w"' }); entry();
	my $out = merge(7, @strict);
	like($out, qr/ALTER TABLE "public"\."t" RENAME TO "t2"; /, 'one statement');
	like($out, qr/ALTER TABLE "public"\."t2" RENAME COLUMN "v" TO "w"; /, 'and another');
	is(rows_of('t'), '(1,v)', 'nothing was changed');
	psql('alter table t rename to t2; alter table t2 rename column v to w');
	merge(0, @strict);
	is(rows_of('t2'), '(1,v) (2,w)', 'once they were run by hand it goes on');
	my $u = table('public.u', 20003, \@id);
	said($u, created => 1); change($u, 'i', { id => 1 }); entry();
	like(merge(7, @strict), qr/CREATE TABLE "public"\."u" \("id" integer NOT NULL, PRIMARY KEY \("id"\)\)/, 'a table, too');
};
subtest 'a column that comes into the column list of a publication' => sub {
	fresh();
	my $t1 = table('public.t', 20001, \@id, [ 3, 'w', 'text' ]);
	my $t2 = table('public.t', 20001, \@id, \@v, [ 3, 'w', 'text' ]);
	said($t1, created => 1); change($t1, 'i', { id => 1, w => '"w"' }); entry(); merge(0);
	said($t2); change($t2, 'i', { id => 2, v => '"v"', w => '"w"' }); entry(); merge(8);
	is(resync(), 'public.t published resync', 'was there all the while: the table is to be loaded anew');
	is(psql(q(select string_agg(concat_ws(' ', id, coalesce(v, '-'), w), ', ' order by id) from t)), '1 - w, 2 v w', 'new rows have it');
};
subtest 'what locks readers out has a transaction of its own' => sub {
	fresh();
	my $t1 = table('public.t', 20001, \@id, \@v);
	my $t2 = table('public.t', 20001, \@id, [ 2, 'w', 'text' ]);
	my $o = table('public.o', 20003, \@id);
	said($t1, created => 1); change($t1, 'i', { id => 1, v => '"v"' }); entry(); merge(0);
	for my $n (2, 3) { change($t1, 'i', { id => $n, v => '"v"' }); entry() }
	said($t2); change($t2, 'i', { id => 4, w => '"w"' }); entry();
	said($o, created => 1); change($o, 'i', { id => 1 }); entry();    # locks nobody out
	for my $n (5, 6) { change($t2, 'i', { id => $n, w => '"w"' }); entry() }
	merge(0);
	is(psql(q(select string_agg(from_entry || '-' || to_entry, ' ' order by to_entry) from cdc_s3.merge_run)), '0-1 2-3 4-4 5-7', 'before, it, and behind');
	is(rows_of('t'), '(1,v) (2,v) (3,v) (4,w) (5,w) (6,w)', 'all of it is there');
};
subtest 'what is planned is told, and nothing is changed' => sub {
	fresh();
	my $t1 = table('public.t', 20001, \@id, \@v);
	my $t2 = table('public.t2', 20001, \@id, [ 2, 'w', 'text' ], [ 3, 'd', 'int4', 'missing=5' ]);
	said($t1, created => 1); change($t1, 'i', { id => 1, v => '"v"' }); entry(); merge(0);
	said($t2); change($t2, 'i', { id => 2, w => '"w"', d => 1 }); entry();
	my $out = merge(0, '--plan');
	for my $sql ('ALTER TABLE "public"."t" RENAME TO "t2"', 'ALTER TABLE "public"."t2" RENAME COLUMN "v" TO "w"',
		q(ALTER TABLE "public"."t2" ADD COLUMN "d" integer DEFAULT '5'))
	{
		like($out, qr/^\s*\Q$sql\E$/m, $sql);
	}
	is(() = $out =~ /ADD COLUMN/g, 1, 'one column is added');
	is(rows_of('t'), '(1,v)', 'it is as it was');
	merge(0);
	is(rows_of('t2'), '(1,v,5) (2,w,1)', 'and then it is done');
};
subtest 'merge.map keeps its target' => sub {
	fresh();
	my $t1 = table('public.t', 20001, \@id, \@v);
	my $t2 = table('public.t2', 20001, \@id, \@v);
	my @map = ('--merge.map=public.t=x.mine');
	said($t1, created => 1); change($t1, 'i', { id => 1, v => '"v"' }); entry(); merge(0, @map);
	said($t2); change($t2, 'i', { id => 2, v => '"w"' }); entry(); merge(0, @map);
	is(rows_of('x.mine'), '(1,v) (2,w)', 'through a rename');
	change($t2, 'i', { id => 3, v => '"x"' }); entry(); merge(0, @map);
	is(rows_of('x.mine'), '(1,v) (2,w) (3,x)', 'and behind it');
};
subtest 'a table that is no longer wanted' => sub {
	fresh();
	my $t = table('public.t', 20001, \@id, \@v);
	said($t, created => 1); change($t, 'i', { id => 1, v => '"v"' }); entry(); merge(0);
	said($t, left => 1); entry();
	like(merge(0), qr/no longer sends a table/, 'said once');
	is(rows_of('t'), '(1,v)', 'stays as it was');
	is(resync(), 'public.t left left', 'and is named');
	said($t); change($t, 'i', { id => 9, v => '"back"' }); entry(); merge(8);
	is(resync(), 'public.t left resync', 'back again, it is to be loaded anew');
};
subtest 'a table that the log has neither from its creation nor from a load' => sub {
	fresh();
	my $o = table('public.o', 20003, \@id);
	my $t = table('public.t', 20001, \@id, \@v);
	entry(loads => [ [ 'a', $o, 'open' ] ]);
	entry(loads => [ [ 'a', $o, 'done', $at ] ], schemas => [ { of => $o, lsn => $at, seq => 2**40 } ]);
	merge(0);
	said($t); change($t, 'i', { id => 1, v => '"v"' }); entry(); merge(8);
	is(resync(), 'public.t new resync', 'is to be loaded');
	is(rows_of('o'), '', 'one that was loaded without a row is there');
};

subtest 'one that appears, and the target has a table of that name' => sub {
	fresh();
	my $o = table('public.o', 20003, \@id);
	my $t = table('public.t', 20001, \@id);
	entry(loads => [ [ 'a', $o, 'open' ] ]);
	entry(loads => [ [ 'a', $o, 'done', $at ] ], schemas => [ { of => $o, lsn => $at, seq => 2**40 } ]);
	merge(0);
	psql('create table t (id int primary key); insert into t values (7)');
	said($t); change($o, 'i', { id => 1 }); entry(); merge(8);
	is(resync(), 'public.t@20001 schema blocked', 'it waits');
	is(rows_of('o') . rows_of('t'), '(1)(7)', 'the others go on, and nobody is written over');
	psql('truncate t');
	change($t, 'i', { id => 1 }); entry(); merge(8);
	is(resync(), 'public.t new resync', 'once its place is free it is to be loaded');
};

# As an older release left it: tables known by their names.
sub forget_identities
{
	psql('alter table cdc_s3.tables drop column relation_id, drop column row_type, drop column schema_hash,'
		  . ' drop column schema_lsn, drop column schema_seq, drop column pinned, drop column gone;'
		  . ' alter table cdc_s3.resync drop column state, drop column detail');
	return;
}
subtest 'a target that an older release merged' => sub {
	fresh();
	my $t = table('public.t', 20001, \@id, \@v);
	my $t2 = table('public.t', 20001, \@id, [ 2, 'w', 'text' ], [ 3, 'd', 'int4', 'missing=5' ]);
	my $u = table('public.u', 20003, \@id);
	my $u2 = table('public.u', 20005, \@id);
	my $n = table('public.n', 20007, \@id);
	for my $x ($t, $u, $n) { said($x, created => 1); change($x, 'i', { id => 1, $x == $t ? (v => '"v"') : () }) }
	entry(); merge(0);
	forget_identities();
	like(merge(0, '--plan'), qr/nothing/, 'a preview reads it');
	said($t2); change($t2, 'i', { id => 2, w => '"w"', d => 1 });
	said($u2, created => 1); change($u2, 'i', { id => 7 });
	entry(); merge(8);
	is(rows_of('t'), '(1,v,5) (2,w,1)', 'learns from the log which columns it has');
	is(resync(), 'public.u recreated resync', 'a name that is another table\'s by now is to be loaded anew');
	is(psql(q(select string_agg(concat_ws(' ', source_table, relation_id), ', ' order by 1) from cdc_s3.tables where relation_id is not null)), 't 20001, u 20005', 'and then knows who they are');
	change($n, 'i', { id => 2 }); entry(); merge(8);
	is(rows_of('n'), '(1) (2)', 'one that only has changes goes on');
};
subtest 'the same source on another server' => sub {
	fresh();
	my $t = table('public.t', 20001, \@id, \@v);
	my $u = table('public.u', 20003, \@id);
	said($t, created => 1); change($t, 'i', { id => $_, v => '"old"' }) for 1, 2;
	said($u, created => 1); change($u, 'i', { id => 1 }); entry(); merge(0);
	like(merge(2, '--adopt'), qr/nothing to adopt/, 'one that goes on is not to be adopted');
	like(merge(2, '--adopt', '--plan'), qr/"--plan" and "--adopt" exclude each other/, 'nor in a preview');
	$folder = temp_folder() . "/upgraded_$db";
	$lake = CdcS3::Lake->new(folder => $folder, system_identifier => '7000000000000000002');
	($at, $seq) = (0x1000, 0);
	my $t2 = table('public.t', 30001, [ 3, 'id', 'int4', 'pk' ], [ 4, 'v', 'text' ]);
	entry(loads => [ [ 'l', $t2, 'open' ] ]);
	entry();
	like(merge(3), qr/another source: .*merge --adopt/, 'after pg_upgrade, say');
	is(rows_of('t'), '(1,old) (2,old)', 'nothing is taken for dropped');
	merge(8, '--adopt');
	is(resync(), 'public.t adopted resync;public.u adopted resync', 'all tables are to be loaded anew');
	is(rows_of('t'), '(1,old) (2,old)', 'and stay as they are until then');
	my $lsn = $at;
	change($t2, 'i', { id => 3, v => '"new"' });
	entry(loads => [ [ 'l', $t2, 'done', $lsn ] ], load => { l => [ [ $t2, 'r', $lsn, 2**40 + 1, { id => 2, v => '"loaded"' } ] ] },
		schemas => [ { of => $t2, lsn => $lsn, seq => 2**40 } ]);
	merge(8);
	is(rows_of('t'), '(2,loaded) (3,new)', 'then it is the new one\'s');
	is(resync(), 'public.u adopted resync', 'and the other waits');
};

subtest 'what goes along to another schema has a name that is taken there' => sub {
	fresh();
	my $t = table('public.t', 20001, [ 1, 'id', 'int4', 'pk' ], \@v);
	my $z = table('z.t', 20001, [ 1, 'id', 'int4', 'pk' ], \@v);
	said($t, created => 1); change($t, 'i', { id => 1, v => '"v"' }); entry(); merge(0);
	psql('create schema z; create table z.u (id int constraint t_pkey primary key); create index t_v on t (v); create view z.t_v as select 1 as one;'
	  . ' alter table t add own int generated by default as identity; create sequence z.t_own_seq');
	said($z); change($z, 'i', { id => 2, v => '"z"' }); entry(); merge(0);
	is(rows_of('z.t'), '(1,v,1) (2,z,2)', 'the table is there');
	like(psql(q(select string_agg(relname, ' ' order by relname) from pg_class where relnamespace = 'z'::regnamespace)),
		qr/^t t_own_seq t_own_seq_\d+ t_pkey t_pkey_\d+ t_v t_v_\d+ u$/, 'and what it has got other names');
};

# ---- what the target refuses ----
subtest 'a view stands in the way' => sub {
	fresh();
	my $t1 = table('public.t', 20001, \@id, [ 2, 'n', 'int4' ]);
	my $t2 = table('public.t', 20001, \@id, [ 2, 'n', 'text' ]);
	my $o = table('public.o', 20003, \@id);
	said($t1, created => 1); change($t1, 'i', { id => 1, n => 1 }); said($o, created => 1); entry(); merge(0);
	psql('create view seen as select n from t');
	said($t2); change($t2, 'i', { id => 2, n => '"two"' }); change($o, 'i', { id => 1 }); entry();
	my $out = merge(8);
	is(rows_of('t'), '(1,1)', 'the table waits');
	is(rows_of('o'), '(1)', 'the other does not');
	is(resync(), 'public.t schema blocked', 'it says so');
	like(psql('select detail from cdc_s3.resync'), qr/ALTER COLUMN "n" TYPE text .*cannot alter type of a column used by a view/, 'with the statement and the cause');
	change($t2, 'i', { id => 3, n => '"three"' }); entry(); merge(8);
	is(rows_of('t'), '(1,1)', 'and goes on waiting');
	psql('drop view seen');
	merge(0);
	is(rows_of('t'), '(1,1) (2,two) (3,three)', 'what waited is applied');
	is(resync(), '', 'and the line is gone');
};
subtest 'a place that is taken' => sub {
	fresh();
	my $t = table('public.t', 20001, \@id, \@v);
	my $t2 = table('public.t2', 20001, \@id, \@v);
	said($t, created => 1); change($t, 'i', { id => 1, v => '"v"' }); entry(); merge(0);
	psql('create view t2 as select 1 as one');
	said($t2); change($t2, 'i', { id => 2, v => '"w"' }); entry(); merge(8);
	is(rows_of('t'), '(1,v)', 'the table waits under its old name');
	is(resync(), 'public.t schema blocked', 'and says so');
	psql('drop view t2');
	entry(); merge(0);
	is(rows_of('t2'), '(1,v) (2,w)', 'until it is free');
};
subtest 'not the owner' => sub {
	fresh();
	psql("create role plain login; grant all on database $db to plain; grant all on schema public to plain") if $databases;
	my $t1 = table('public.t', 20001, \@id, \@v);
	my $t2 = table('public.t', 20001, \@id, [ 2, 'w', 'text' ]);
	psql('create table t (id int primary key, v text); grant all on t to plain');
	said($t1, created => 1); change($t1, 'i', { id => 1, v => '"v"' }); entry(); merge(0, 'plain');
	said($t2); change($t2, 'i', { id => 2, w => '"w"' }); entry(); merge(8, 'plain');
	is(resync(), 'public.t schema blocked', 'it is not the role\'s');
	psql('alter table t owner to plain');
	entry(); merge(0, 'plain');
	is(rows_of('t'), '(1,v) (2,w)', 'once it is');
};
# A table of another role's at the target, which "plain" merges.
sub fresh_of_another
{
	fresh();
	my $t = table('public.t', 20001, \@id, \@v);
	psql("grant all on database $db to plain; grant all on schema public to plain; create table t (id int primary key, v text); grant all on t to plain");
	said($t, created => 1); change($t, 'i', { id => $_, v => '"old"' }) for 1, 2;
	entry(); merge(0, 'plain');
	return $t;
}
subtest 'loaded anew while it waits' => sub {
	fresh_of_another();
	my $t2 = table('public.t2', 20001, \@id, [ 2, 'w', 'text' ]);
	said($t2); change($t2, 'd', { id => 1 }); entry(); merge(8, 'plain');
	is(resync(), 'public.t schema blocked', 'it waits');
	entry(loads => [ [ 'l', $t2, 'open' ] ]); merge(8, 'plain');
	my $lsn = $at;
	change($t2, 'i', { id => 3, w => '"new"' });
	entry(loads => [ [ 'l', $t2, 'done', $lsn ] ], load => { l => [ [ $t2, 'r', $lsn, 2**40 + 1, { id => 2, w => '"loaded"' } ] ] },
		schemas => [ { of => $t2, lsn => $lsn, seq => 2**40 } ]);
	merge(8, 'plain');
	is(rows_of('t'), '(1,old) (2,old)', 'goes on waiting');
	entry(loads => [ [ 'm', $t2, 'open' ] ]); merge(8, 'plain');
	psql('alter table t owner to plain');
	merge(0, 'plain');
	is(rows_of('t2'), '(2,loaded) (3,new)', 'the load that was done meanwhile counts');
	change($t2, 'i', { id => 4, w => '"later"' }); entry(); merge(0, 'plain');
	is(rows_of('t2'), '(2,loaded) (3,new)', 'and the one that is under way is waited for');
	entry(loads => [ [ 'm', $t2, 'given_up' ] ]); merge(0, 'plain');
	is(rows_of('t2'), '(2,loaded) (3,new) (4,later)', 'or goes on without it');
	is(resync(), '', 'nothing is outstanding');
};
# A load is announced by a name, and somebody else has that by the time it is done.
for my $what ('made anew', 'made and loaded', 'a name that another one took')
{
	each_way "$what while a load is under way" => sub {
		my $old = table('public.t', 20001, \@id, \@v);
		my $new = table('public.t', 20003, [ 1, 'w', 'text' ], [ 2, 'id', 'int4', 'pk' ]);
		my $b = table('public.b', 20003, [ 1, 'w', 'text' ], [ 2, 'id', 'int4', 'pk' ]);
		my $o = table('public.o', 20005, \@id);
		my $before = $what =~ /took/;
		if ($before) { said($b, created => 1); change($b, 'i', { w => '"b"', id => 1 }) }
		entry(loads => [ [ 'l', $old, 'open' ], [ 'm', $o, 'open' ] ]); merge(0);
		my $s = $at + 8;
		if ($before) { said($new) }
		else { said($new, created => 1); change($new, 'i', { w => '"b"', id => 1 }) }
		$step->();
		change($new, 'i', { w => '"c"', id => 2 }); $step->();
		my $of = $what =~ /loaded/ ? $new : $old;
		$s = $at if $of == $new;
		my @rows = map { [ $of, 'r', $s, 2**40 + $_, $of == $new ? { w => '"r"', id => $_ } : { id => $_, v => '"old"' } ] } 1, 2;
		entry(loads => [ [ 'l', $of, 'done', $s, undef, undef, 1 ] ], load => { l => \@rows }, schemas => [ { of => $of, lsn => $s, seq => 2**40 } ]);
		merge(0) if $step && $_[0] eq 'many';
		change($new, 'u', { w => '"cc"', id => 2 }); entry(); merge(0);
		is(rows_of('t'), $of == $new ? '(cc,2) (r,1)' : '(b,1) (cc,2)', 'the table of that name is that one');
		is(psql(q(select count(*) from cdc_s3.waiting where source_table <> 'o')), 0, 'and waits for nothing');
		is(resync(), '', 'nothing is to be loaded anew');
		is(psql(q(select count(*) from pg_tables where schemaname = 'public')), 1, 'the one that is gone is nowhere');
	};
}
subtest 'dropped and made anew while it waits' => sub {
	my $t1 = fresh_of_another();
	my $t2 = table('public.t', 20003, \@id);
	said($t1, gone => 1); commit(); said($t2, created => 1); change($t2, 'i', { id => 7 }); entry();
	merge(8, 'plain') for 1, 2;
	is(resync(), 'public.t schema blocked;public.t@20003 schema blocked', 'both wait, in each merge');
	change($t2, 'i', { id => 8 }); entry(); merge(8, 'plain');
	psql('alter table t owner to plain');
	merge(0, 'plain');
	is(rows_of('t'), '(7) (8)', 'then the new one has its place');
};
subtest 'its names of meanwhile are others\' by now' => sub {
	fresh_of_another();
	my ($t2, $t3) = map { table("public.$_", 20001, \@id, \@v) } 't2', 't3';
	my $n = table('public.t2', 20003, \@id);
	said($t2); change($t2, 'i', { id => 3, v => '"x"' }); entry(); merge(8, 'plain');
	said($t3); commit(); said($n, created => 1); change($n, 'i', { id => 1 }); entry(); merge(8, 'plain');
	is(rows_of('t2'), '(1)', 'a new table has the name that it should have had');
	change($n, 'i', { id => 2 }); entry(); merge(8, 'plain');
	is(rows_of('t2'), '(1) (2)', 'and keeps it');
	psql('alter table t owner to plain');
	merge(0, 'plain');
	is(rows_of('t3') . rows_of('t2'), '(1,old) (2,old) (3,x)(1) (2)', 'each where it belongs');
};
subtest 'dropped while it waits, under a name that is another one\'s by now' => sub {
	fresh_of_another();
	my $t2 = table('public.t2', 20001, \@id, \@v);
	my $n = table('public.t2', 20003, \@id);
	said($t2); commit(); said($t2, gone => 1); commit(); said($n, created => 1); change($n, 'i', { id => 1 }); entry();
	merge(8, 'plain') for 1, 2;
	is(resync(), 'public.t schema blocked', 'it waits');
	psql('alter table t owner to plain');
	change($n, 'i', { id => 2 }); entry(); merge(0, 'plain');
	is(rows_of('t2') . resync(), '(1) (2)', 'then it goes beside');
};
subtest 'a swap that is refused, and a new table under one of its names' => sub {
	my $t = fresh_of_another();
	my $n = table('public.n', 20003, \@id, \@v);
	my ($t_as_n, $n_as_t) = (table('public.n', 20001, \@id, \@v), table('public.t', 20003, \@id, \@v));
	my $new = table('public.t', 20005, \@id);
	said($n, created => 1); change($n, 'i', { id => 1, v => '"n"' }); entry(); merge(0, 'plain');
	said($t_as_n); said($n_as_t); commit(); change($t_as_n, 'i', { id => 3, v => '"later"' }); entry(); merge(8, 'plain');
	is(resync(), 'public.n schema blocked;public.t schema blocked', 'both wait');
	is(rows_of('t') . rows_of('n'), '(1,old) (2,old)(1,n)', 'and are where they were');
	said($n_as_t, gone => 1); commit(); said($new, created => 1); change($new, 'i', { id => 7 }); entry();
	merge(8, 'plain') for 1, 2;
	is(resync(), 'public.t schema blocked;public.t@20005 schema blocked', 'the new one waits for its name');
	psql('alter table t owner to plain');
	merge(0, 'plain');
	is(rows_of('n') . rows_of('t'), '(1,old) (2,old) (3,later)(7)', 'then each has its own');
};
subtest 'a table that is renamed to the name of one that waits' => sub {
	my $t = fresh_of_another();
	my ($t2, $o, $o_as_t) = (table('public.t2', 20001, \@id, \@v), table('public.o', 20003, \@id), table('public.t', 20003, \@id));
	psql('create view t2 as select 1 as one');
	said($o, created => 1); change($o, 'i', { id => 1 }); entry(); merge(0, 'plain');
	said($t2); commit(); said($o_as_t); change($o_as_t, 'i', { id => 2 }); entry();
	merge(8, 'plain') for 1, 2;
	is(resync(), 'public.o schema blocked;public.t schema blocked', 'waits, too');
	psql('drop view t2; alter table t owner to plain');
	merge(0, 'plain');
	is(rows_of('t2') . rows_of('t'), '(1,old) (2,old)(1) (2)', 'until it is gone from there');
};
# Parent p, which is another role's, child c and its child g, and o beside.
sub fresh_family
{
	fresh();
	psql("grant all on database $db to plain; alter schema public owner to plain; create table p (id int primary key, v text); grant all on p to plain;"
	  . ' create table c (id int primary key, p int references p, v text); create table g (id int primary key, c int references c on delete cascade); create table o (id int primary key);'
	  . ' alter table c owner to plain; alter table g owner to plain; alter table o owner to plain');
	my %t = (
		p => table('public.p', 20001, \@id, \@v), p2 => table('public.p', 20001, \@id, [ 2, 'w', 'text' ]),
		c => table('public.c', 20003, \@id, [ 2, 'p', 'int4' ], [ 3, 'v', 'text' ]),
		c2 => table('public.c2', 20003, \@id, [ 2, 'p', 'int4' ], [ 3, 'w', 'text' ], [ 4, 'n', 'int4', 'missing=5' ]),
		g => table('public.g', 20005, \@id, [ 2, 'c', 'int4' ]), o => table('public.o', 20007, \@id));
	said($t{$_}, created => 1) for qw(p c g o);
	change($t{p}, 'i', { id => 1, v => '"p"' }); change($t{c}, 'i', { id => 1, p => 1, v => '"c"' }); change($t{g}, 'i', { id => 1, c => 1 });
	entry(); merge(0, 'plain');
	return %t;
}
subtest 'children of a table that waits' => sub {
	my %t = fresh_family();
	said($t{p2}); change($t{p2}, 'i', { id => 2, w => '"p2"' }); commit();
	change($t{c}, 'i', { id => 2, p => 2, v => '"c2"' }); change($t{g}, 'i', { id => 2, c => 2 }); change($t{o}, 'i', { id => 1 }); entry();
	my $out = merge(8, 'plain');
	is(resync(), 'public.c parent blocked;public.g parent blocked;public.p schema blocked', 'they wait by name');
	like($out, qr/^public\.c: a table that it refers to waits \(parent\); its changes wait as long$/m, 'which the merge says');
	is(psql(q(select detail from cdc_s3.resync where source_table = 'g')), 'foreign key g_c_fkey refers to "public.c", which waits', 'for whom, too');
	is(rows_of('c') . rows_of('o'), '(1,1,c)(1)', 'the others go on');
	change($t{o}, 'i', { id => 2 }); change($t{g}, 'd', { id => 1 }); entry(); merge(8, 'plain');
	is(psql('select count(*) from cdc_s3.rejected'), '0', 'nothing is refused meanwhile');
	psql('alter table p owner to plain');
	entry(); merge(0, 'plain');
	is(rows_of('p') . rows_of('c') . rows_of('g'), '(1,p) (2,p2)(1,1,c) (2,2,c2)(2,2)', 'then all is applied');
	is(resync(), '', 'and nothing waits');
};
subtest 'children that became others while they wait' => sub {
	my %t = fresh_family();
	said($t{p2}); change($t{p2}, 'i', { id => 2, w => '"p2"' }); commit();
	change($t{c}, 'i', { id => 2, p => 2, v => '"c2"' }); commit(); said($t{c2}); change($t{c2}, 'i', { id => 3, p => 2, w => '"c3"', n => 1 }); entry();
	merge(8, 'plain') for 1, 2;
	is(resync(), 'public.c parent blocked;public.p schema blocked', 'they wait by the name that the target knows');
	is(rows_of('c'), '(1,1,c)', 'and it has not followed them');
	psql('alter table p owner to plain');
	merge(0, 'plain');
	is(rows_of('c2'), '(1,1,c,5) (2,2,c2,5) (3,2,c3,1)', 'then it does');
};
subtest 'children of a table that waits for its load' => sub {
	my %t = fresh_family();
	entry(loads => [ [ 'l', $t{p}, 'open' ] ]); merge(0, 'plain');
	change($t{p}, 'i', { id => 2, v => '"p2"' }); change($t{c}, 'i', { id => 2, p => 2, v => '"c2"' }); entry(); merge(8, 'plain');
	is(resync(), 'public.c parent blocked', 'they wait by name');
	my $lsn = $at;
	entry(loads => [ [ 'l', $t{p}, 'done', $lsn ] ], schemas => [ { of => $t{p}, lsn => $lsn, seq => 2**40 } ],
		load => { l => [ map { [ $t{p}, 'r', $lsn, 2**40 + $_, { id => $_, v => '"l"' } ] } 1, 2 ] });
	merge(0, 'plain');
	is(rows_of('p') . rows_of('c'), '(1,l) (2,l)(1,1,c) (2,2,c2)', 'until it is loaded');
};
subtest 'a superuser\'s merge holds no children' => sub {
	my %t = fresh_family();
	psql('create view seen as select v from p');
	my $p2 = table('public.p', 20001, \@id, [ 2, 'v', 'int4' ]);
	said($p2); change($p2, 'i', { id => 2, v => 7 }); change($t{c}, 'i', { id => 2, p => 2, v => '"c2"' }); entry(); merge(8);
	is(resync(), 'public.p schema blocked', 'the parent waits alone');
	is(rows_of('c'), '(1,1,c) (2,2,c2)', 'since the foreign key is not in force');
};
subtest 'labels of an enum that the target lacks' => sub {
	fresh();
	psql("create type mood as enum ('sad', 'ok'); create type pair as (a int, b int)");
	my $t = table('public.t', 20001, \@id, [ 2, 'm', 'mood', 'type_schema=public' ], [ 3, 'l', '_mood', 'type_schema=public', 'oid=16402' ], [ 4, 'p', 'pair', 'type_schema=public', 'oid=16404' ]);
	my $o = table('public.o', 20003, \@id);
	said($_, created => 1) for $o, $t; change($o, 'i', { id => 1 }); change($t, 'i', { id => 1, m => '"ok"', l => '"{sad,ok}"', p => '"(1,2)"' }); entry(); merge(0);
	change($o, 'i', { id => 2 }); change($t, 'i', { id => 2, m => '"it\'s"', l => 'null', p => 'null' });
	change($t, 'i', { id => 3, m => '"ok"', l => '"{sad,new}"', p => '"(1,2,3)"' }); entry();
	merge(8) for 1, 2;
	is(rows_of('t') . rows_of('o'), '(1,ok,"{sad,ok}","(1,2)")(1) (2)', 'the table waits, the others do not');
	is(resync(), 'public.t schema blocked', 'by name');
	like(psql('select detail from cdc_s3.resync'), qr/^ALTER TYPE public.mood ADD VALUE 'it''s'; -- .*invalid input value for enum/, 'with the statement');
	psql("alter type mood add value 'it''s'"); merge(8);
	like(psql('select detail from cdc_s3.resync'), qr/^ALTER TYPE public.mood ADD VALUE 'new'/, 'then the next one, in an array');
	psql("alter type mood add value 'new'"); merge(8);
	like(psql('select detail from cdc_s3.resync'), qr/^ALTER TYPE public.pair ADD ATTRIBUTE …; -- .*malformed record/, 'or what may have got attributes');
	psql('alter type pair add attribute c int'); change($o, 'i', { id => 3 }); entry(); merge(0);
	is(psql("select string_agg(m || coalesce(p::text, ''), ' ' order by id) from t") . resync(), q(ok(1,2,) it's ok(1,2,3)), 'and all is applied');
	change($t, 'i', { id => 4, m => '"no"', l => 'null', p => 'null' }); entry(); merge(8, '--merge.on_reject=continue');
	is(psql('select new_key::text from cdc_s3.rejected'), '{"id": "4"}', 'who goes on with rejected rows has the row there');
};
subtest 'grants and dependents' => sub {
	fresh();
	my @t = map { table('public.t', 20001 + 2 * $_, \@id, \@v) } 0 .. 1;
	said($t[0], created => 1); change($t[0], 'i', { id => 1, v => '"old"' }); entry(); merge(0);
	psql('create role reader; grant select on t to reader; create view seen as select v from t');
	said($t[0], gone => 1); said($t[1], created => 1); change($t[1], 'i', { id => 1, v => '"new"' }); entry();
	like(merge(0), qr/goes on with the one that had its name.*view public\.seen/, 'the view is named');
	is(psql("select has_table_privilege('reader', 't', 'select')"), 't', 'who could read the table of that name still can');
	is(rows_of('seen'), '(old)', 'the view is of the old one');
};
subtest 'grants, where the new one waits for its load' => sub {
	fresh();
	my @t = map { table('public.t', 20001 + 2 * $_, \@id, \@v) } 0 .. 1;
	said($t[0], created => 1); change($t[0], 'i', { id => 1, v => '"old"' }); entry(); merge(0);
	psql('grant select on t to reader');
	said($t[0], gone => 1); entry(loads => [ [ 'l', $t[1], 'open' ] ]);
	said($t[1]); change($t[1], 'i', { id => 1, v => '"new"' }); entry(); merge(0);
	is(psql(q(select to_regclass('t') is null)), 't', 'it is not there yet');
};
subtest 'rejected rows go with their table and its columns' => sub {
	fresh();
	my $t1 = table('public.t', 20001, \@id, [ 2, 'n', 'int4' ]);
	my $t2 = table('public.t2', 20001, \@id, [ 2, 'm', 'int4' ]);
	psql('create table t (id int primary key, n int check (n < 10))');
	said($t1, created => 1); change($t1, 'i', { id => $_, n => 10 * $_ }) for 0, 1; entry(); merge(8, '--merge.on_reject=continue');
	said($t2); change($t2, 'i', { id => 5, m => 5 }); entry(); merge(8, '--merge.on_reject=continue');
	is(psql("select source_table || ' ' || new_key from cdc_s3.rejected"), 't2 {"id": "1"}', 'the line has the new name');
	psql('alter table t2 drop constraint t_n_check');
	merge(0, '--retry-rejected', '--merge.on_reject=continue');
	is(rows_of('t2'), '(0,0) (1,10) (5,5)', 'and is applied to the new column');
};
done_testing;
