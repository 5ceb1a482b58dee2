#-------------------------------------------------------------------------
# Many rows that constraints refuse, one of a hundred: which they are is asked
# once, and no statement is taken apart for each of them.  What becomes of a row
# is as ever what the target says when it is applied: rows that a trigger
# mends pass, those that something else refuses are found by halves.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $ROWS = 3000;

my $target = new_cluster('target', conf => [ 'log_statement = all', q{log_line_prefix = '%d '} ])->start;
$target->psql('postgres', 'create role merger login');
my $databases = 0;
my ($db, $lake, $t, $at, $folder);

# Columns that are named as those of a staging table, and as its alias.
sub fresh
{
	my ($more) = @_;
	$db = 'm' . ++$databases;
	$target->psql('postgres', "create database $db owner merger");
	$target->psql($db, <<"SQL");
alter schema public owner to merger;
set role merger;
create table t (id int primary key, rn int not null, f text, unk int, op text,
	twice int generated always as (unk * 2) stored,
	constraint small check (unk < 1000000), constraint named check (f <> 'bad' and op is distinct from 'bad'));
$more
SQL
	$folder = temp_folder() . "/lake_$db";
	$lake = CdcS3::Lake->new(folder => $folder);
	$t = $lake->table('public.t', key => ['id'],
		columns => [ [ id => 'int4', 'pk' ], [ rn => 'int4' ], [ f => 'text' ], [ unk => 'int4' ], [ op => 'text' ] ]);
	$at = 0x2000;
	return;
}

sub row
{
	my ($id, %o) = @_;
	return { id => $id, rn => $id, f => '"good"', unk => 1, op => '"x"', %o };
}

sub changes
{
	my ($op, $bad) = @_;
	$at += 0x1000;
	return $lake->entry(end => $at, rows => [ map { [ $t, $op, $at - 16, $_, $bad->($_) ] } 1 .. $ROWS ]);
}

sub merge
{
	return run_cdc('merge', "--store.url=file://$folder", '--target.conninfo=' . $target->conninfo($db, user => 'merger'),
		'--until=now', '--merge.on_reject=continue', '--merge.reject_limit=0', @_);
}

sub psql { return $target->psql($db, $_[0]) }

# Spans of statements that the merge of this database began.
sub spans { return scalar(() = $target->log_text =~ /^$db [^\n]*SAVEPOINT cdc_s3_span$/mg) }

sub is_bad { return $_[0] % 100 == 50 }
my $BAD = grep { is_bad($_) } 1 .. $ROWS;

for my $case (
	[ 'a check', { unk => 2000000 }, '23514' ],
	[ 'another check', { f => '"bad"' }, '23514' ],
	[ 'one on a name of ours', { op => '"bad"' }, '23514' ],
	[ 'not null', { rn => 'null' }, '23502' ])
{
	my ($name, $what, $state) = @$case;
	fresh('');
	changes('i', sub { row($_[0], is_bad($_[0]) ? %$what : ()) });
	is(merge()->{code}, 8, "$name: inserts");
	is(psql('select count(*), count(distinct sqlstate), min(sqlstate) from cdc_s3.rejected'), "$BAD|1|$state", "$name: each is rejected, by its reason");
	is(psql('select count(*), count(*) filter (where id % 100 = 50) from t'), $ROWS - $BAD . '|0', "$name: all others are there");
	my $n = spans();
	cmp_ok($n, '<=', 4 * $BAD, "$name: no more than some statements for each of them");
	changes('u', sub { row($_[0], unk => 5, is_bad($_[0] + 7) ? %$what : ()) });
	is(merge()->{code}, 8, "$name: updates");
	is(psql('select count(*), count(*) filter (where op = $$u$$) from cdc_s3.rejected'), "$BAD|$BAD", "$name: those are kept, and the others ended");
	is(psql('select count(*), count(*) filter (where unk = 5), count(*) filter (where twice = 10) from t'),
		join('|', $ROWS, $ROWS - $BAD, $ROWS - $BAD), "$name: all others are changed");
	cmp_ok(spans() - $n, '<=', 4 * $BAD, "$name: no more than some statements for each of them");
	psql('alter table t drop constraint small, drop constraint named, alter rn drop not null');
	is(merge('--retry-rejected')->{code}, 0, "$name: they are retried");
	is(psql('select count(*) filter (where unk >= 5) from t'), $ROWS, "$name: then all is there");
}

# ---- a trigger mends some of those that are suspected ----
fresh(<<'SQL');
create function mend() returns trigger language plpgsql as
	$$ begin if new.id % 200 = 50 then new.unk := 7; end if; return new; end $$;
create trigger mend before insert or update on t for each row execute function mend();
SQL
changes('i', sub { row($_[0], is_bad($_[0]) ? (unk => 2000000) : ()) });
is(merge()->{code}, 8, 'a trigger that mends');
is(psql('select count(*) filter (where unk = 7), count(*) from t'), join('|', $BAD / 2, $ROWS - $BAD / 2), 'what it mends passes');
is(psql('select count(*) from cdc_s3.rejected'), $BAD / 2, 'and no other');

# ---- a trigger that refuses: nobody can be asked ----
fresh(<<'SQL');
create function refuse() returns trigger language plpgsql as
	$$ begin if new.id % 1000 = 50 then raise check_violation using message = 'refused'; end if; return new; end $$;
create trigger refuse before insert or update on t for each row execute function refuse();
SQL
changes('i', sub { row($_[0]) });
is(merge()->{code}, 8, 'a trigger that refuses');
is(psql('select count(*), min(reason) like $$%refused%$$ from cdc_s3.rejected'), $ROWS / 1000 . '|t', 'they are found');
is(psql('select count(*) from t'), $ROWS - $ROWS / 1000, 'all others are there');

# ---- a constraint that cannot be asked about: it names a generated column ----
fresh('alter table t add constraint two check (twice < 2000000); alter table t drop constraint small');
changes('i', sub { row($_[0], is_bad($_[0]) ? (unk => 1000000) : ()) });
is(merge()->{code}, 8, 'a generated column');
is(psql('select count(*) from cdc_s3.rejected'), $BAD, 'they are found');
is(psql('select count(*) from t'), $ROWS - $BAD, 'all others are there');

done_testing();
