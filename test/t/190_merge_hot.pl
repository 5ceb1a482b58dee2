#-------------------------------------------------------------------------
# Rows that change all the time: lines that the next change writes over are not
# read to their end (merge_late.c), and the target's rows are the same.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $changes = 20_000;
my $target = new_cluster('target')->start;
my $folder = temp_folder() . '/lake';
my $lake = CdcS3::Lake->new(folder => $folder);
my $t = $lake->table('public.t', key => ['id'],
	columns => [ [ id => 'int4', 'pk' ], [ v => 'int4' ], [ big => 'text' ] ]);
my $at = 0x2000;

sub entry
{
	my (@rows) = @_;
	my $seq = 0;
	$at += 0x1000;
	$lake->entry(end => $at, rows => [ map { [ $t, $_->[0], $at - 16, ++$seq, @$_[ 1 .. $#$_ ] ] } @rows ]);
	return;
}

sub merge
{
	my ($db, @flags) = @_;
	return run_cdc('merge', "--store.url=file://$folder",
		'--target.conninfo=' . $target->conninfo($db),
		'--merge.until=now', '--log.level=debug', @flags);
}

# Texts that look like metadata, or need an escape, and such that do neither.
my @texts = (['plain', 'plain'], ['"_', '\\"_'], ['_unchanged', '_unchanged'],
	["a\tb\\", 'a\\tb\\\\'], ['x_y', 'x_y']);
my (%rows, @history);

# A change of key k, and what it does to the rows.
sub change
{
	my ($i, $k) = @_;
	my ($text, $json) = @{ $texts[ rand @texts ] };
	my $all = { id => $k, v => $i, big => qq("$i $json") };
	my $some = { id => $k, v => $i };
	my $to = 100 + int(rand 20);
	my $dice = rand;
	if (!$rows{$k})
	{
		$rows{$k} = [ $i, "$i $text" ];
		return [ 'i', $all ];
	}
	if ($dice < 0.004)
	{
		delete $rows{$k};
		return [ 'd', { id => $k } ];
	}
	if ($dice < 0.008)
	{
		$rows{$k}[0] = $i;
		return [ 'u', $some, { _unchanged => '["big"]' } ];
	}
	if ($dice < 0.012 && !$rows{$to})
	{
		$rows{$to} = [ $i, $rows{$k}[1] ];
		delete $rows{$k};
		return [ 'u', { id => $to, v => $i }, { _unchanged => '["big"]', _key => "{\"id\":$k}" } ];
	}
	$rows{$k} = [ $i, "$i $text" ];
	return [ 'u', $all ];
}

srand(14);
for my $i (1 .. $changes)
{
	my @there = sort { $a <=> $b } keys %rows;
	push @history, change($i, @there > 30 ? $there[ rand @there ] : int(rand 40));
}
entry(splice @history, 0, $changes / 2);
entry(@history);

my $expected = join "\n", map { "$_|$rows{$_}[0]|$rows{$_}[1]" } sort { $a <=> $b } keys %rows;
my $content = 'select id, v, big from t order by id';
for my $case ([ plain => [] ], [ small => ['--memory.limit=20MB'] ], [ exact => ['--merge.way=exact'] ])
{
	my ($db, $flags) = @$case;
	$target->psql('postgres', "create database $db");
	my $r = merge($db, @$flags);
	is($r->{code}, 0, "$db: merged") or diag $r->{err};
	is($target->psql($db, $content), $expected, "$db: the rows are the source's");
	my ($late) = $r->{err} =~ / late=(\d+)/;
	if ($db eq 'exact')
	{
		is($late, 0, 'exact: each line was read, since all changes are staged');
		next;
	}
	cmp_ok($late, '>=', $changes / 10, "$db: lines were taken by their key");
}

# A line that turns out wrong as it leaves: the object is named, nothing is changed.
entry((map { [ 'u', { id => 1 + $_ % 3, v => $_, big => '"x"' } ] } 1 .. 4000),
	[ 'u', { id => 1, v => 1 } ]);
my $before = $target->psql('plain', $content);
my $r = merge('plain');
is($r->{code}, 3, 'a row that lacks a column: exit 3');
like($r->{err}, qr/staged with care after all/, 'it was taken late');
like($r->{err}, qr/line 4001.*record lacks column "big"/, 'its line is named');
is($target->psql('plain', $content), $before, 'and nothing was changed');

done_testing();
