#-------------------------------------------------------------------------
# What becomes of a row that the target refused: its line in cdc_s3.rejected
# ends with the first later change that passes, in whichever merge, and a
# retry brings it without writing over anything later.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $target = new_cluster('target')->start;
$target->psql('postgres', 'create role plain login');
my $databases = 0;
my ($db, $folder, $lake, $at, @flags);

sub fresh
{
	my (%o) = @_;
	$db = 'm' . ++$databases;
	$target->psql('postgres', "create database $db owner plain");
	$target->psql($db, 'alter schema public owner to plain');
	$folder = temp_folder() . "/lake_$db";
	$lake = CdcS3::Lake->new(folder => $folder);
	$at = 0x2000;
	@flags = ('--merge.on_reject=continue', map { "--merge.way=$_" } $o{way} // 'auto');
	return;
}

sub psql { return $target->psql($db, @_) }

sub merge
{
	my ($role, @more) = @_;
	return run_cdc('merge', "--store.url=file://$folder", '--until=now', '--merge.tables=public.*',
		'--target.conninfo=' . $target->conninfo($db, user => $role), @flags, @more);
}

# One transaction, an entry of its own.
sub entry
{
	my ($rows, %o) = @_;
	my $seq = 0;
	$at += 0x1000;
	return $lake->entry(
		end => $at,
		rows => [ map { my ($t, $op, @rest) = @$_; [ $t, $op, $at - 16, ++$seq, @rest ] } @$rows ],
		%o);
}

# The lines, as "op old>new op …"
sub lines
{
	my ($table) = @_;
	return psql(
		q(select coalesce(string_agg(format('%s%s %s>%s', op, seq, old_key->>'id', new_key->>'id'), ', ' order by lsn, seq), '') from cdc_s3.rejected)
		  . ($table ? " where source_table = '$table'" : ''));
}

# Merges; exit code and lines are these, and so are the rows of t.
sub merged
{
	my ($want, $rows, $name, $role, @more) = @_;
	my $r = merge($role // 'postgres', @more);
	is($r->{code}, $want ne '' ? 8 : 0, "$name: exit code") or diag $r->{err};
	is(lines(), $want, "$name: lines");
	is(psql(q(select coalesce(string_agg(concat_ws(' ', id, v, n, mine), ', ' order by id), '') from t)), $rows, "$name: rows");
	return $r;
}

sub table
{
	return $lake->table('public.t', key => ['id'],
		columns => [ [ id => 'numeric', 'pk' ], [ v => 'text' ], [ n => 'int4' ] ], @_);
}
my $ddl = 'create table t (id numeric primary key, v varchar(5), n int check (n < 100), mine text default $$m$$);';

sub row
{
	my ($id, $v, $n) = @_;
	return { id => $id, v => "\"$v\"", n => $n };
}

for my $way (qw(auto exact fast))
{
	subtest "$way: a later change of the key ends the line" => sub {
		fresh(way => $way);
		my $t = table();
		psql($ddl);
		entry([ [ $t, 'i', row('1.0', 'one', 1) ], [ $t, 'i', row(2, 'two', 2) ], [ $t, 'i', row(6, 'six', 6) ] ]);
		merged('', '1.0 one 1 m, 2 two 2 m, 6 six 6 m', 'first rows');
		entry([ [ $t, 'u', row('1.0', 'one', 100) ], [ $t, 'u', row(2, 'two long', 2) ], [ $t, 'i', row(3, 'three', 300) ],
				[ $t, 'i', row(4, 'four long', 4) ], [ $t, 'i', row(5, 'five long', 5) ], [ $t, 'i', row(7, 'seven', 700) ] ]);
		my $all = 'u1 1.0>1.0, u2 2>2, i3 >3, i4 >4, i5 >5, i6 >7';
		my $rows = '1.0 one 1 m, 2 two 2 m, 6 six 6 m';
		merged($all, $rows, 'six refused');
		merged($all, $rows, 'nothing new');
		entry([ [ $t, 'u', row(6, 'other', 6) ] ]);
		$rows =~ s/six/other/;
		merged($all, $rows, 'a change of another key');
		entry([ [ $t, 'u', row('1.00', 'one', 10) ], [ $t, 'd', { id => 2 } ], [ $t, 'u', row(3, 'three', 30) ],
				[ $t, 'd', { id => 4 } ], [ $t, 'd', { id => 5 } ], [ $t, 'i', row(5, 'five', 5) ] ]);
		merged('i6 >7', '1.00 one 10 m, 3 three 30 m, 5 five 5 m, 6 other 6 m', 'later changes, by the target\'s equality');
		entry([ [ $t, 't' ], [ $t, 'i', row(8, 'eight', 8) ] ]);
		merged('', '8 eight 8 m', 'a truncate');
		entry([ [ $t, 'i', row(9, 'nine', 900) ], [ $t, 'u', row(8, 'eight long', 8) ], [ $t, 'u', row(8, 'eight', 80) ] ]);
		merged('i1 >9', '8 eight 80 m', 'a later change in the same merge');
		entry([ [ $t, 'u', row(8, 'late', 800) ] ]);
		entry([], loads => [ [ 'x1', $t, 'open', 0 ] ]);
		merged('i1 >9, u1 8>8', '8 eight 80 m', 'a load is announced');
		entry([ [ $t, 'i', row(10, 'ten', 1000) ] ], loads => [ [ 'x1', $t, 'done', $at ] ],
			load => { x1 => [ [ $t, 'r', $at, 1 << 40, row(8, 'load', 8) ], [ $t, 'r', $at, (1 << 40) + 1, row(9, 'load', 9) ] ] });
		merged('i1 >10', '8 load 8 m, 9 load 9 m', 'a load');
	};

	subtest "$way: a change of the key" => sub {
		fresh(way => $way);
		my $t = table();
		psql($ddl);
		entry([ map { [ $t, 'i', row($_, "v$_", $_) ] } 1 .. 8 ]);
		merge('postgres');
		psql('update t set mine = id');
		# by a check, and by a type
		entry([ map { [ $t, 'u', row(10 + $_, "v$_", $_ % 2 ? 100 : 1), { _key => qq({"id":$_}) } ] } 1, 3, 5, 7 ]);
		entry([ map { [ $t, 'u', row(10 + $_, 'much too long', 1), { _key => qq({"id":$_}) } ] } 2, 4, 6, 8 ]);
		my @lines = ((map { 'u' . ($_ + 1) / 2 . " $_>1$_" } 1, 3, 5, 7), (map { 'u' . $_ / 2 . " $_>1$_" } 2, 4, 6, 8));
		my @rows = map { "$_ v$_ $_ $_" } 1 .. 8;
		merged(join(', ', @lines), join(', ', @rows), 'refused');
		entry([ map { [ $t, 'u', row("1$_", "w$_", 20) ] } 1, 2 ]);
		entry([ map { [ $t, 'd', { id => "1$_" } ] } 3, 4 ]);
		entry([ map { [ $t, 'i', row($_, "n$_", 30) ] } 5, 6 ]);
		merged('u3 >15, u4 7>17, u3 >16, u4 8>18',
			'5 n5 30 5, 6 n6 30 6, 7 v7 7 7, 8 v8 8 8, 11 w1 20 1, 12 w2 20 2', 'the row left behind is moved, deleted or replaced');
		entry([ map { [ $t, 'u', row("1$_", "w$_", 20) ] } 5, 6 ]);
		entry([ map { [ $t, 'u', row("2$_", "w$_", 20), { _key => qq({"id":1$_}) } ] } 7, 8 ]);
		merged('', '5 n5 30 5, 6 n6 30 6, 11 w1 20 1, 12 w2 20 2, 15 w5 20 m, 16 w6 20 m, 27 w7 20 7, 28 w8 20 8', 'and the rest');
		entry([ [ $t, 'u', row(50, 'x', 100), { _key => '{"id":5}' } ], [ $t, 'u', row(60, 'much too long', 1), { _key => '{"id":6}' } ] ]);
		merged('u1 5>50, u2 6>60', '5 n5 30 5, 6 n6 30 6, 11 w1 20 1, 12 w2 20 2, 15 w5 20 m, 16 w6 20 m, 27 w7 20 7, 28 w8 20 8', 'again refused');
		entry([ map { [ $t, 'u', row($_, 'came', 5), { _key => qq({"id":1$_}) } ] } 5, 6 ]);
		merged('u1 >50, u2 >60', '5 came 5 m, 6 came 5 m, 11 w1 20 1, 12 w2 20 2, 27 w7 20 7, 28 w8 20 8', 'another row takes the old key');
		entry([ [ $t, 'd', { id => 50 } ], [ $t, 'u', row(60, 'sixty', 6) ] ]);
		merged('', '5 came 5 m, 6 came 5 m, 11 w1 20 1, 12 w2 20 2, 27 w7 20 7, 28 w8 20 8, 60 sixty 6 m', 'and they end');
	};

	subtest "$way: changes that do not tell the whole row" => sub {
		fresh(way => $way);
		my $t = table();
		psql($ddl);
		entry([ map { [ $t, 'i', row($_, "v$_", $_) ] } 1 .. 4 ]);
		merge('postgres');
		entry([ [ $t, 'u', row(1, 'w1', 100) ], [ $t, 'u', row(2, 'much too long', 2) ],
				[ $t, 'i', row(5, 'five', 100) ], [ $t, 'u', row(13, 'w3', 100), { _key => '{"id":3}' } ] ]);
		my $rows = '1 v1 1 m, 2 v2 2 m, 3 v3 3 m, 4 v4 4 m';
		merged('u1 1>1, u2 2>2, i3 >5, u4 3>13', $rows, 'refused');
		my %v = (_unchanged => '["v"]');
		entry([ [ $t, 'u', { id => 2, n => 20 }, {%v} ], [ $t, 'u', { id => 4, n => 40 }, {%v} ] ]);
		merged('u1 1>1, u2 2>2, i3 >5, u4 3>13, u1 2>2', '1 v1 1 m, 2 v2 2 m, 3 v3 3 m, 4 v4 40 m',
			'what the refused row cannot tell is not taken from the row before it');
		is(psql(q(select unchanged::text || "row" from cdc_s3.rejected order by lsn desc limit 1)),
			'{v}{ "id" : "2", "n" : "20" }', 'the line names what is not told');
		entry([ [ $t, 'u', { id => 1, n => 11 }, {%v} ], [ $t, 'u', { id => 5, n => 55 }, {%v} ],
				[ $t, 'u', { id => 13, n => 33 }, {%v} ] ]);
		merged('u2 2>2, u1 2>2', '1 w1 11 m, 2 v2 2 m, 4 v4 40 m, 5 five 55 m, 13 w3 33 m', 'and else it is taken from the refused one');
		entry([ [ $t, 'u', { id => 12, n => 20 }, { %v, _key => '{"id":2}' } ] ]);
		merged('u2 2>2, u1 2>2, u1 2>12', '1 w1 11 m, 2 v2 2 m, 4 v4 40 m, 5 five 55 m, 13 w3 33 m', 'a change of that key');
		entry([ [ $t, 'u', row(12, 'w2', 20) ] ]);
		merged('', '1 w1 11 m, 4 v4 40 m, 5 five 55 m, 12 w2 20 m, 13 w3 33 m', 'one that tells all ends all of them');
	};

	subtest "$way: a key that changes on" => sub {
		fresh(way => $way);
		my $t = table();
		psql($ddl);
		entry([ [ $t, 'i', row(1, 'one', 1) ] ]);
		merge('postgres');
		psql('update t set mine = id');
		entry([ [ $t, 'u', row(2, 'much too long', 1), { _key => '{"id":1}' } ] ]);
		merged('u1 1>2', '1 one 1 1', 'refused');
		entry([ [ $t, 'u', { id => 3, n => 3 }, { _key => '{"id":2}', _unchanged => '["v"]' } ] ]);
		merged('u1 1>2, u1 2>3', '1 one 1 1', 'another');
		entry([ [ $t, 'i', row(2, 'new', 2) ] ]);
		merged('u1 1>3', '1 one 1 1, 2 new 2 m', 'a new row of the key between: where the row is stays known');
		entry([ [ $t, 'u', row(3, 'three', 3) ] ]);
		merged('', '2 new 2 m, 3 three 3 1', 'it is taken along in the end');
	};
}

subtest 'a refused delete' => sub {
	for my $way (qw(auto exact))
	{
		fresh(way => $way);
		my $t = table();
		psql("set role plain; $ddl create table note (t numeric references t); grant all on t to plain");
		entry([ map { [ $t, 'i', row($_, "v$_", $_) ] } 1 .. 3 ]);
		merge('plain');
		psql('insert into note values (1), (2); update t set mine = id');
		entry([ [ $t, 'd', { id => 1 } ], [ $t, 'd', { id => 2 } ] ]);
		merged('d1 1>, d2 2>', '1 v1 1 1, 2 v2 2 2, 3 v3 3 3', 'refused', 'plain');
		entry([ [ $t, 'i', row(1, 'again', 1) ] ]);
		merged('d2 2>', '1 again 1 1, 2 v2 2 2, 3 v3 3 3', 'an insert of the key is an update', 'plain');
		merged('d2 2>', '1 again 1 1, 2 v2 2 2, 3 v3 3 3', 'retried while the note is there', 'plain', '--retry-rejected');
		psql('delete from note');
		merged('', '1 again 1 1, 3 v3 3 3', 'retried without it', 'plain', '--retry-rejected');
	}
};

subtest 'a parent and its children' => sub {
	fresh();
	my $t = table();
	my $c = $lake->table('public.c', key => ['id'], columns => [ [ id => 'int4', 'pk' ], [ t => 'numeric' ] ]);
	psql("set role plain; $ddl create table c (id int primary key, t numeric references t)");
	entry([ [ $t, 'i', row(1, 'one', 100) ], [ $c, 'i', { id => 10, t => 1 } ], [ $c, 'i', { id => 11, t => 1 } ],
			[ $t, 'i', row(2, 'two', 2) ], [ $c, 'i', { id => 20, t => 2 } ] ]);
	merged('i1 >1, i2 >10, i3 >11', '2 two 2 m', 'each is named', 'plain');
	is(psql(q(select string_agg(sqlstate, ' ' order by seq) from cdc_s3.rejected)), '23514 23503 23503', 'and why');
	entry([ [ $t, 'u', row(1, 'one', 1) ] ]);
	merged('i2 >10, i3 >11', '1 one 1 m, 2 two 2 m', 'the parent is mended', 'plain');
	merged('', '1 one 1 m, 2 two 2 m', 'its children are retried', 'plain', '--retry-rejected');
	is(psql('select string_agg(id::text, $$ $$ order by id) from c'), '10 11 20', 'all are there');
};

subtest 'retry' => sub {
	for my $role (qw(postgres plain))
	{
		fresh();
		my $t = table();
		psql("set role plain; $ddl");
		entry([ map { [ $t, 'i', row($_, "v$_", $_) ] } 1 .. 5 ]);
		merge($role);
		psql('update t set mine = id');
		entry([ [ $t, 'u', row(1, 'later', 100) ], [ $t, 'u', row(12, 'much too long', 2), { _key => '{"id":2}' } ],
				[ $t, 'i', row(6, 'six long', 6) ], [ $t, 'i', row(7, 'seven', 700) ],
				[ $t, 'u', row(3, 'three', 300) ], [ $t, 'u', { id => 9, n => 9 }, { _unchanged => '["v"]' } ] ]);
		my $all = 'u1 1>1, u2 2>12, i3 >6, i4 >7, u5 3>3, u6 9>9';
		my $rows = '1 v1 1 1, 2 v2 2 2, 3 v3 3 3, 4 v4 4 4, 5 v5 5 5';
		merged($all, $rows, 'refused', $role);
		my $since = psql('select string_agg(rejected_at::text, $$ $$ order by lsn, seq) from cdc_s3.rejected');
		my $r = merged($all, $rows, 'retried, and refused again', $role, '--retry-rejected');
		like($r->{out}, qr/^retried 6 rejected rows, 6 stay$/m, 'says so');
		is(psql('select string_agg(rejected_at::text, $$ $$ order by lsn, seq) from cdc_s3.rejected'), $since, 'since when stays');
		$r = merged($all, $rows, 'the same where a reject stops a merge', $role, '--retry-rejected', '--merge.on_reject=stop');
		psql('alter table t drop constraint t_n_check');
		entry([ [ $t, 'u', row(3, 'last', 333) ], [ $t, 'i', row(8, 'eight', 8) ] ]);
		$r = merged('u2 2>12, i3 >6, u6 9>9', '1 later 100 1, 2 v2 2 2, 3 last 333 3, 4 v4 4 4, 5 v5 5 5, 7 seven 700 m, 8 eight 8 m',
			'with new entries: in order of position', $role, '--retry-rejected');
		psql('alter table t alter v type text');
		merged('u6 9>9', '1 later 100 1, 3 last 333 3, 4 v4 4 4, 5 v5 5 5, 6 six long 6 m, 7 seven 700 m, 8 eight 8 m, 12 much too long 2 2',
			'without new entries', $role, '--retry-rejected');
		is(psql(q(select reason from cdc_s3.rejected)), 'columns that did not change are not known, and the row is not at the target', 'what cannot be completed says why');
		psql(q(insert into t values (9, 'nine')));
		merged('', '1 later 100 1, 3 last 333 3, 4 v4 4 4, 5 v5 5 5, 6 six long 6 m, 7 seven 700 m, 8 eight 8 m, 9 nine 9 m, 12 much too long 2 2',
			'a row to complete it', $role, '--retry-rejected');
		is(merge($role, '--retry-rejected')->{code}, 0, 'nothing to retry');
	}
};

# A merge that may reject; its result.
sub some_merge
{
	my $r = merge('postgres', @_);
	like($r->{code}, qr/^[08]$/, 'merge') or diag $r->{err};
	return $r;
}

# Keys that lines name, and rows by their key.
sub named
{
	return { map { $_ => 1 } split / /, psql(q(select coalesce(string_agg(k, ' '), '') from
		(select old_key->>'id' k from cdc_s3.rejected union select new_key->>'id' from cdc_s3.rejected) x)) };
}

sub rows_there
{
	return { map { /^(\S+) / ? ($1 => $_) : () }
		  split /, /, psql(q(select coalesce(string_agg(format('%s %s %s', id, v, n), ', ' order by id), '') from t)) };
}

subtest 'a retry never writes over a later change' => sub {
	my $rounds = $ENV{CDCS3_TEST_ROUNDS} // 12;
	for my $round (1 .. $rounds)
	{
		srand($round + ($ENV{CDCS3_TEST_SEED} // 0));
		fresh(way => $round % 2 ? 'auto' : 'exact');
		my $t = table();
		psql($ddl);
		my (%source, @history);
		for my $n (1 .. 6)
		{
			my @rows;
			for (1 .. 12)
			{
				my $id = 1 + int rand 6;
				my $to = 1 + int rand 6;
				my $bad = rand() < 0.4;
				my $v = $bad && rand() < 0.5 ? 'much too long' : "v$_";
				my $new = row($to, $v, $bad ? 100 + $_ : 10 * $n);
				my $have = $source{$id};
				if (!$have)
				{
					$source{$id} = $new = { %$new, id => $id };
					push @rows, [ $t, 'i', $new ];
				}
				elsif (rand() < 0.25)
				{
					delete $source{$id};
					push @rows, [ $t, 'd', { id => $id } ];
				}
				elsif ($to != $id && $source{$to})
				{
					next;
				}
				else
				{
					my %meta = $to != $id ? (_key => qq({"id":$id})) : ();
					$new->{v} = $have->{v}, $meta{_unchanged} = '["v"]' if rand() < 0.4;
					delete $source{$id};
					$source{$to} = {%$new};
					my $tell = {%$new};
					delete $tell->{v} if $meta{_unchanged};
					push @rows, [ $t, 'u', $tell, \%meta ];
				}
			}
			entry(\@rows);
			push @history, map { join ' ', $_->[1], (map { $_ // '-' } @{ $_->[2] }{qw(id v n)}), %{ $_->[3] // {} } } @rows;
			push @history, 'merge';
			some_merge(rand() < 0.3 ? '--retry-rejected' : ()) if rand() < 0.7;
		}
		some_merge();
		my $check = sub {
			my ($name) = @_;
			my ($named, $there) = (named(), rows_there());
			my $of = sub { my ($rows) = @_; return join ', ', map { $rows->{$_} } grep { !$named->{$_} } sort { $a <=> $b } keys %$rows };
			my %want = map { $_ => join ' ', $_, $source{$_}{v} =~ s/"//gr, $source{$_}{n} } keys %source;
			is($of->($there), $of->(\%want), "round $round: $name")
			  or diag join "\n", @history, psql('select lsn, seq, op, old_key, new_key, unchanged, "row", reason from cdc_s3.rejected order by lsn, seq');
			return scalar keys %$named;
		};
		$check->("each row is the source's, or named");
		psql('alter table t drop constraint t_n_check, alter v type text');
		my $r = some_merge('--retry-rejected');
		my $left = $check->('and so after a retry at a target that takes all');
		is($r->{code}, $left ? 8 : 0, "round $round: exit code");
		note "$left left";
	}
};

subtest 'a target of an older release' => sub {
	fresh();
	my $t = table();
	psql($ddl);
	entry([ [ $t, 'i', row(1, 'one', 1) ] ]);
	merge('postgres');
	psql('alter table cdc_s3.rejected drop old_key, drop new_key, drop unchanged, drop schema_hash');
	psql(q(insert into cdc_s3.rejected select now(), system_identifier, database, slot, 'public', 't', '0/1', 1, 'i', '{}', '23514', 'old' from cdc_s3.position));
	entry([ [ $t, 'i', row(2, 'two', 200) ] ]);
	merged('i1 >, i1 >2', '1 one 1 m', 'its columns are added');
	is(psql(q(select count(*) from pg_indexes where schemaname = 'cdc_s3' and tablename = 'rejected')), 3, 'and its indexes');
	merged('i1 >, i1 >2', '1 one 1 m', 'an old line cannot be retried', 'postgres', '--retry-rejected');
	entry([ [ $t, 't' ] ]);
	merged('', '', 'and ends with a truncate');
};

subtest 'merge.reject_limit' => sub {
	fresh();
	my $t = table();
	psql($ddl);
	entry([ map { [ $t, 'i', row($_, "v$_", $_ % 10 ? 1 : 100) ] } 1 .. 100 ]);
	for my $limit ('9', '9%', '9.9%', '1')
	{
		my $r = merge('postgres', "--merge.reject_limit=$limit");
		is($r->{code}, 7, "$limit: exit code");
		like($r->{err}, qr/\d+ of 100 changes were rejected, and merge\.reject_limit is \Q$limit\E; the first one: .*t_n_check.*higher merge\.reject_limit/, "$limit: says why");
		is(psql(q(select to_regclass('cdc_s3.position') is null)), 't', "$limit: nothing is changed");
	}
	is(merge('postgres', "--merge.reject_limit=$_")->{code}, 2, "$_ is refused") for '1k', '-1', '101%', '1.5', 'x%';
	is(merge('postgres', '--merge.reject_limit=10%')->{code}, 8, 'a share that is kept');
	is(psql('select count(*) from cdc_s3.rejected'), 10, 'all are there');
	my $r = merge('postgres', '--merge.reject_limit=1', '--retry-rejected');
	is($r->{code}, 8, 'rows that are rejected again do not count');
	like($r->{err}, qr/merged, but 10 rejected rows are outstanding; see cdc_s3\.rejected \(public\.t 10\) in the target/, 'one line says how many, and where');
	entry([ [ $t, 'i', row(200, 'x', 100) ] ]);
	is(merge('postgres', '--merge.reject_limit=1')->{code}, 8, 'nor those of earlier merges');
};

subtest 'merge.triggers' => sub {
	for my $on ('off', 'public.t', 'public.u', 'on')
	{
		fresh();
		my $t = table();
		psql($ddl);
		psql(q(create function clean() returns trigger language plpgsql as $$ begin
			if new.id = 3 then return null; end if; new.v := upper(new.v); return new; end $$;
			create trigger clean before insert or update on t for each row execute function clean()));
		entry([ map { [ $t, 'i', row($_, "v$_", 1) ] } 1 .. 3 ]);
		my $runs = $on eq 'public.t' || $on eq 'on';
		my $r = merge('postgres', "--merge.triggers=$on");
		is($r->{code}, $runs ? 8 : 0, "$on: exit code") or diag $r->{err};
		is(psql('select string_agg(v, $$ $$ order by id) from t'), $runs ? 'V1 V2' : 'v1 v2 v3', "$on: rows");
		is(psql(q(select tgenabled from pg_trigger where tgname = 'clean')), 'O', "$on: the trigger is as it was");
	}
	like(merge('postgres', '--merge.triggers=a b')->{err}, qr/cannot understand merge\.triggers/, 'no pattern');
};

# doc/merge.md, "Validation and cleaning at the target", word for word
subtest 'the countries of the page' => sub {
	my ($page) = slurp('doc/merge.md') =~ /### Validation and cleaning at the target\n(.*?)\n## /s;
	my @sql = $page =~ /^```sql\n(.*?)^```/msg;
	is(scalar @sql, 5, 'its statements');
	my ($made, $filled, $lines, $mended, $relaxed) = @sql;
	my ($says) = $page =~ /((?:^    \S.*[|].*\n){5})/m;
	$says =~ s/^ +| +(?=\|)|(?<=\|) +//mg;
	my $source = new_cluster('source')->start;
	$source->psql('postgres', 'create database shop');
	my $cdc = sidecar($source, 'shop', file_store());
	$cdc->ok('init');
	my $run = $cdc->start;
	$cdc->wait_loaded or die $run->errors;
	fresh();
	my $merge = sub {
		my ($code, @more) = @_;
		$cdc->wait_durable or die $run->errors;
		my $r = run_cdc('merge', "--store.url=$cdc->{store}{url}", '--until=now', '--target.conninfo=' . $target->conninfo($db),
			'--merge.on_reject=continue', '--merge.triggers=public.countries', @more);
		is($r->{code}, $code, 'exit code') or diag $r->{err};
		return $r->{err};
	};
	my $rows = sub { return psql('select string_agg(concat_ws($$ $$, code, name, population), $$, $$ order by code) from countries') };
	psql($made);
	$source->psql('shop', $filled);
	like($merge->(8), qr/merged, but 4 rejected rows are outstanding/, 'says so');
	is("op|old|new|sqlstate\n" . psql($lines) . "\n", $says, 'the lines');
	is($rows->(), 'DE Germany 83, FR France 68', 'the rows');
	$source->psql('shop', $mended);
	$merge->(8);
	is(psql($lines), 'i||Japan|23514', 'one is left');
	is($rows->(), 'DE Germany 83, FR France 69, IT Italy 59', 'three are mended');
	psql($relaxed);
	$merge->(0, '--retry-rejected');
	is($rows->(), 'DE Germany 83, FR France 69, IT Italy 59, Japan Japan 125', 'and all are there');
	$run->stop;
};

done_testing;
