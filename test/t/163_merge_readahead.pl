#-------------------------------------------------------------------------
# How a merge reads the log: entries by their numbers, several at once, and one
# page of a listing behind the last of them; no hole passes for the end.
#-------------------------------------------------------------------------
use strict;
use warnings;
use File::Find;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Lake;
use CdcS3::Test;

my $ENTRIES = 120;

my $target = new_cluster('target')->start;
my $fake = CdcS3::FakeS3->start;
my $folder = temp_folder() . '/lake';
my $lake = CdcS3::Lake->new(folder => $folder);
my $t = $lake->table('public.t', key => ['id'], columns => [ [ id => 'int4', 'pk' ], [ v => 'int4' ] ]);
my $at = 0x2000;
my %placed;

# More entries; of each tenth the row is a new one.
sub write_entries
{
	my ($n) = @_;
	for (1 .. $n)
	{
		my $i = ++$lake->{count};
		$at += 0x1000;
		$lake->entry(
			end => $at,
			rows => [ [ $t, $i % 10 == 1 ? 'i' : 'u', $at - 16, 1, { id => int(($i - 1) / 10), v => $i } ] ]);
	}
	return;
}

# What is in the folder and not in the store yet.
sub upload
{
	find(
		{
			no_chdir => 1,
			wanted => sub {
				return if !-f;
				my $key = substr $_, 1 + length $folder;
				return if $placed{$key}++;
				open my $f, '<:raw', $_ or die "$_: $!";
				local $/;
				$fake->place("cdc/$key", scalar <$f>);
			}
		},
		$folder);
	return;
}

sub merge
{
	$fake->clear;
	$fake->set(page => 20);
	return run_cdc(
		'merge', '--store.url=s3://lake/cdc', '--store.endpoint=' . $fake->endpoint,
		'--target.conninfo=' . $target->conninfo('postgres'),
		'--until=now', { env => $fake->env });
}

sub asked
{
	my ($re) = @_;
	return grep { /$re/ } $fake->requests;
}

# ---- many entries ----
write_entries($ENTRIES);
upload();
my $r = merge();
is($r->{code}, 0, 'many entries') or diag $r->{err};
is($target->psql('postgres', 'select count(*), max(v) from t'), "12|$ENTRIES", 'all of them came');
my @lists = asked(qr/list-type.*_cdc%2Flog%2F/);
is(scalar @lists, 1, 'one page is listed') or diag join "\n", @lists;
like($lists[0] // '', qr/start-after=[^&]*%2F0{17}120\.json/, 'of what lies behind the last one');
my @entries = asked(qr{^GET .*/_cdc/log/});
cmp_ok(scalar @entries, '<=', $ENTRIES + 1 + 40, 'each entry is asked for once, and some behind the end');
my %times;
$times{$_}++ for @entries;
is(scalar(grep { $times{$_} > 1 } keys %times), 3, 'but for the first, the last, and the one behind it')
  or diag explain [ grep { $times{$_} > 1 } sort keys %times ];

# ---- one more: few requests ----
write_entries(1);
upload();
$r = merge();
is($r->{code}, 0, 'one more entry') or diag $r->{err};
cmp_ok(scalar asked(qr{/_cdc/log/}), '<=', 14, 'it takes few requests') or diag join "\n", $fake->requests;

# ---- nothing new ----
$r = merge();
like($r->{out}, qr/nothing to merge, target is at entry @{[ $ENTRIES + 1 ]}/, 'nothing new');

# ---- a hole behind the end, wider than what is read ahead ----
write_entries(100);
my $last = $ENTRIES + 101;
my $hole = $ENTRIES + 4;
find(
	{
		no_chdir => 1,
		wanted => sub { unlink if m{/_cdc/log/0*(\d+)\.json$} && $1 >= $hole && $1 < $last }
	},
	$folder);
upload();
$r = merge();
is($r->{code}, 3, 'a hole: exit 3');
like($r->{err}, qr/entry $hole of the commit log is missing, but there is an entry $last/, 'it is named');
is($target->psql('postgres', 'select max(v) from t'), $ENTRIES + 1, 'nothing was merged');

done_testing();
