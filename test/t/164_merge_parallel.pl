#-------------------------------------------------------------------------
# merge.parallel: groups of tables commit one by one, each with a position of
# its own.  Whatever ends such a merge before its end, the next one brings each
# group on from where it is, and nothing is applied twice: a table without a
# key, whose rows would double, is in each case.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Proc qw(spawn);
use CdcS3::Test;

my $target = new_cluster('target', conf => ['max_prepared_transactions = 10'])->start;
$target->psql('postgres', 'create role merger login');
my $databases = 0;
my ($db, $folder, $lake, $at, $role, %t, %model);

# ---- a lake of these tables, and what they hold ----
# parent and child are joined by a foreign key, bag has no key.
my @names = qw(a b c bag parent child);

sub fresh
{
	($role) = @_;
	$db = 'm' . ++$databases;
	$target->psql('postgres', "create database $db owner merger");
	$target->psql($db, <<'SQL');
alter schema public owner to merger;
set role merger;
create table parent (id int primary key, v int);
create table child (id int primary key, v int references parent);
SQL
	$folder = temp_folder() . "/lake_$db";
	$lake = CdcS3::Lake->new(
		folder => $folder,
		database => $db,
		system_identifier => $target->psql($db, 'select system_identifier from pg_control_system()'));
	$at = 0x2000;
	%model = map { $_ => {} } @names;
	%t = map {
		$_ => $lake->table("public.$_",
			$_ eq 'bag' ? (identity => 'f') : (key => ['id']),
			columns => [ [ id => 'int4', $_ eq 'bag' ? () : 'pk' ], [ v => 'int4' ] ])
	} @names;
	return;
}

# Rows of an entry, and the model with them: [ table, op, id, v ] …
sub entry
{
	my (@rows) = @_;
	my $seq = 0;
	$at += 0x1000;
	my @lines;
	for (@rows)
	{
		my ($t, $op, $id, $v) = @$_;
		my $have = $model{$t};
		my @place = ($t{$t}, $op, $at - 16, ++$seq);
		if ($op eq 't') { %$have = (); push @lines, [ @place, {} ]; next }
		my %before = $t eq 'bag' && $op ne 'i' ? (_before => "{\"id\":$id,\"v\":$have->{$id}}") : ();
		$op eq 'd' ? delete $have->{$id} : ($have->{$id} = $v);
		push @lines,
		  [ @place, $op eq 'd' && $t eq 'bag' ? { id => $id } : $op eq 'd' ? { id => $id } : { id => $id, v => $v }, \%before ];
	}
	return $lake->entry(end => $at, rows => \@lines);
}

sub flags
{
	return ("--store.url=file://$folder", '--target.conninfo=' . $target->conninfo($db, user => $role),
		'--until=now', '--merge.parallel=4', @_);
}

sub merge { return run_cdc('merge', flags(@_)) }
sub psql { return $target->psql($db, $_[0]) }

# The table is made by the first merge that finds a target that has a position.
sub ahead
{
	return '' if psql('select to_regclass($$cdc_s3.ahead$$) is null') eq 't';
	return psql('select string_agg(source_table, $$ $$ order by source_table) from cdc_s3.ahead');
}
sub position { return psql('select entry from cdc_s3.position') }

# The target is what the model says.
sub equal
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %have = map {
		$_ => psql("select coalesce(string_agg(format('%s=%s', id, v), ' ' order by id, v), '') from $_")
	} @names;
	my %want = map {
		my $t = $_;
		$t => join ' ', map { "$_=$model{$t}{$_}" } sort { $a <=> $b } keys %{ $model{$t} }
	} @names;
	is_deeply(\%have, \%want, "$name: source = target") or diag explain [ \%have, \%want ];
	is(ahead(), '', "$name: no table is ahead");
	return;
}

sub merged
{
	my ($name, @flags) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = merge(@flags);
	is($r->{code}, 0, $name) or diag $r->{err};
	equal($name);
	return $r->{out} . $r->{err};
}

# Changes of each table.
sub changes
{
	my ($n) = @_;
	entry(map { [ $_, 'i', $n, $n ] } @names);
	entry((map { [ $_, 'u', $n, $n + ($_ eq 'child' ? 0 : 100) ] } @names), [ 'a', 'i', 1000 + $n, $n ], [ 'bag', 'i', 1000 + $n, 7 ]);
	return;
}

for my $who (qw(merger postgres))
{
	my $plain = $who eq 'merger';
	my $groups = $plain ? 5 : 6;

	# ---- all goes well ----
	fresh($who);
	changes(1);
	unlike(merged("$who: the first merge makes tables"), qr/one by one/, "$who: in one transaction");
	changes(2);
	my $said = merged("$who: groups");
	like($said, qr/groups of tables are merged one by one.* groups=$groups connections=4/, "$who: says so when it begins");
	like($said, qr/^$groups groups of tables were committed one by one, and are consistent with each other from here on$/m, "$who: and in the end");
	like($said, qr/^public\.a: 2 inserted, 0 updated, 0 deleted|^public\.a: 2 inserted/m, "$who: what was done to a table");
	is(psql('select jsonb_array_length(tables) from cdc_s3.merge_run order by id desc limit 1'), 6, "$who: one report of all tables");
	is(psql('select a.xmin::text <> b.xmin::text from a, b where (a.id, b.id) = (2, 2)'), 't', "$who: more than one transaction");
	changes(3);
	unlike(merged("$who: with one connection", '--merge.parallel=1'), qr/one by one/, "$who: as ever");

	# ---- one group fails: the others go on, and it follows ----
	psql('alter table b add constraint small check (v < 100) not valid');
	changes(4);
	my $before = position();
	my $r = merge();
	is($r->{code}, 7, "$who: a group is refused: exit 7");
	like($r->{err}, qr/table "public\.b".*refused/, "$who: it is named");
	like($r->{err}, qr/not consistent with each other until a merge ends/, "$who: and what that means");
	is(ahead(), 'a bag c child parent', "$who: the others are ahead");
	is(position(), $before, "$who: the position is not");
	$r = run_cdc('merge', '--sequences', flags('--source.conninfo=' . $target->conninfo($db)));
	is($r->{code}, 75, "$who: no cut-over between") or diag $r->{err};
	$r = run_cdc('merge', '--plan', flags());
	like($r->{out}, qr/public\.a: is at the end of that already/, "$who: --plan tells it") or diag $r->{err};
	is(merge()->{code}, 7, "$who: again");
	is(ahead(), 'a bag c child parent', "$who: it stays so");
	changes(5);
	psql('alter table b drop constraint small');
	like(merged("$who: then all follow"), qr/^public\.c: 2 inserted/m, "$who: what was done before is told too");
	is(psql("select string_agg(to_entry - from_entry + 1 || ' ' || jsonb_array_length(tables), ', ' order by id) from (select * from cdc_s3.merge_run order by id desc limit 2) r"),
		'2 6, 2 6', "$who: in two steps, each of all tables");

	# ---- rows that are rejected are retried once all tables are together ----
	psql('alter table b add constraint small check (v < 100) not valid');
	changes(6);
	is(merge('--merge.on_reject=continue')->{code}, 8, "$who: with rows left over");
	is(ahead(), '', "$who: no table is ahead");
	is(psql('select count(*) from cdc_s3.rejected'), 1, "$who: the row is kept");
	psql('alter table c add constraint small check (v < 100) not valid');
	changes(7);
	is(merge('--merge.on_reject=stop')->{code}, 7, "$who: two groups fail");
	is(ahead(), 'a bag child parent', "$who: the others are ahead");
	psql('alter table b drop constraint small; alter table c drop constraint small');
	merged("$who: all of that at once", '--retry-rejected');
	is(psql('select count(*) from cdc_s3.rejected'), 0, "$who: nothing is left over");

	# ---- killed between the groups; then one connection does the rest ----
	for my $rest (1, 4)
	{
		psql('begin; lock table b in exclusive mode; prepare transaction $$held$$');
		changes(10 + $rest);
		my $log = temp_folder() . "/killed$databases$rest.log";
		my $p = spawn(cmd => [ CdcS3::Sidecar::program(), 'merge', flags() ], log => $log);
		my $all = 'a bag c child parent';
		ok(poll(sub { ahead() eq $all }, 120), "$who: all groups but one are merged") or diag $p->output;
		$p->stop('KILL');
		psql('rollback prepared $$held$$');
		$target->poll_until($db, "select count(*) = 0 from pg_stat_activity where datname = '$db' and pid <> pg_backend_pid()");
		is(ahead(), $all, "$who: so it stays");
		changes(20 + $rest);
		psql('alter table c add constraint c_a foreign key (id) references a not valid') if $plain && $rest == 4;
		merged("$who: the next merge, by $rest", "--merge.parallel=$rest");
	}

	# ---- a truncate of tables in several groups ----
	changes(30);
	entry(map { [ $_, 't' ] } qw(a bag c));
	changes(31);
	merged("$who: a truncate of several groups");

	# ---- a table that comes, and one that changes, are for one transaction ----
	$t{later} = $lake->table('public.later', key => ['id'], columns => [ [ id => 'int4', 'pk' ], [ v => 'int4' ] ]);
	$model{later} = {};
	entry([ 'later', 'i', 1, 1 ], map { [ $_, 'i', 40, 40 ] } @names);
	$said = merged("$who: a new table");
	is(psql('select count(*) from later'), 1, "$who: it is there");
	changes(41);
	entry([ 'later', 'u', 1, 2 ]);
	$said = merged("$who: then it is one of them");
	is(psql('select v from later'), 2, "$who: it is merged");
	my @columns = ([ id => 'int4', 'pk' ], [ v => 'int4' ], [ w => 'int4' ]);
	$t{later} = $lake->table('public.later', key => ['id'], columns => \@columns);
	$at += 0x1000;
	$lake->entry(
		end => $at,
		rows => [
			[ $t{later}, 'u', $at - 16, 1, { id => 1, v => 3, w => 4 } ],
			[ $t{a}, 'i', $at - 16, 2, { id => 50, v => 50 } ]
		]);
	$model{a}{50} = 50;
	unlike(merged("$who: a column more"), qr/committed one by one/, "$who: in one transaction");
	is(psql('select format($$%s|%s$$, v, w) from later'), '3|4', "$who: it is there");
}

# ---- a table that no merge has seen, and that a foreign key joins ----
fresh('merger');
psql('alter table child alter constraint child_v_fkey deferrable');
entry(map { [ $_, 'i', 1, 1 ] } qw(a b c bag parent));
merged('without the child');
psql('alter table parent add foreign key (v) references child deferrable not valid');
entry([ 'parent', 'i', 2, 3 ], [ 'child', 'i', 3, 2 ], [ 'a', 'i', 2, 2 ], [ 'b', 'i', 2, 2 ]);
like(merged('the child comes'), qr/2 groups of tables were committed one by one/, 'a and b are groups, the joined ones are none');
is(psql(q(select format('%s %s', (select string_agg(t::text, '') from parent t), (select string_agg(t::text, '') from child t)))),
	'(1,1)(2,3) (3,2)', 'rows that refer to each other are there');

# ---- the position moved under a group ----
fresh('merger');
changes(1);
merged('a beginning');
changes(2);
psql('alter table b add constraint small check (v < 100) not valid');
is(merge()->{code}, 7, 'a group is refused');
psql('update cdc_s3.position set entry = entry + 5');
psql('alter table b drop constraint small');
my $r = merge();
is($r->{code}, 3, 'a position past the tables that are ahead: exit 3');
like($r->{err}, qr/an older cdc-s3 merged/, 'that is told');
psql('update cdc_s3.position set entry = entry - 5');
merged('put back');

done_testing();
