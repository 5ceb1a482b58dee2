#-------------------------------------------------------------------------
# doc/upgrade.md: the lake that version 1.0.0 left is listed, verified, replayed
# and merged as then; entries and lists of other versions are refused by name,
# members that nobody knows are passed over; a plugin that does not speak what
# the sidecar asks for says what it speaks.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $data = top_folder() . '/test/data/lake-1.0';
my $source = new_cluster('source')->start;
$source->psql('postgres', 'create database work');
my $folder = temp_folder() . '/old';
system('cp', '-r', "$data/lake", $folder) == 0 or die "cp: $?\n";

sub with_lake
{
	my ($command, @args) = @_;
	return run_cdc($command, "--store.url=file://$folder", @args);
}

sub merge
{
	my ($db, @args) = @_;
	return with_lake('merge', '--until=now', '--target.conninfo=' . $source->conninfo($db), @args);
}

#
# What version 1.0.0 wrote
#
my $r = with_lake('verify');
is($r->{code}, 0, 'verify finds nothing') or diag $r->{out}, $r->{err};
is(with_lake('replay')->{out}, slurp("$data/replay.json"), 'replay prints what it printed');
like(with_lake('ls')->{out}, qr/^ +6 .* 125 /m, 'ls lists it');
like(with_lake('ls', 'objects', '--json')->{out}, qr/load-\w+-000000-/, 'and its objects');
$source->psql('work', <<'SQL');
create table orders (id bigint primary key, customer text, amount numeric(12,2), at timestamptz,
	details jsonb, raw bytea, tags text[]);
create table "Odd.Name" (a integer, b text, primary key (a, b));
set timezone = 'UTC';
SQL
$r = merge('work');
is($r->{code}, 0, 'merge merges it') or diag $r->{err};
for my $table ([ 'orders', 'orders' ], [ '"Odd.Name"', 'odd' ])
{
	is($source->psql('work', "set timezone = 'UTC'; copy (select * from $table->[0] order by 1) to stdout csv header") . "\n",
		slurp("$data/$table->[1].csv"), "$table->[0]: what it was at the source");
}
is(merge('work')->{code}, 0, 'and again');

#
# Other versions.  The last entry is rewritten, with a checksum that fits.
#
my $last = "$folder/_cdc/log/00000000000000000006.json";
my $entry = slurp($last);

sub rewritten
{
	my ($change) = @_;
	my $text = $entry =~ s/,\n"crc32c":"\w+"\}\n?\z//r;
	die "no checksum\n" if $text eq $entry;
	$text = $change->($text);
	open my $f, '>', $last or die "$last: $!\n";
	print {$f} $text . ",\n" . sprintf(qq("crc32c":"%s"}\n), CdcS3::Lake::crc32c($text));
	close $f or die "$last: $!\n";
	return;
}
rewritten(sub { $_[0] });
is(slurp($last), $entry, 'the checksum is understood');
rewritten(sub { $_[0] =~ s/\{"version":2,/{"version":2,"of_tomorrow":{"a":[1]},/r });
$r = with_lake('replay');
is($r->{out}, slurp("$data/replay.json"), 'a member that nobody knows is passed over') or diag $r->{err};
is(with_lake('verify')->{code}, 0, 'by verify, too');
for my $version (1, 3)
{
	rewritten(sub { $_[0] =~ s/"version":2/"version":$version/r });
	$r = with_lake('replay');
	is($r->{code}, 3, "version $version of an entry is refused");
	like($r->{err}, qr/version/, 'by name');
	like($r->{err}, qr/a later one/, 'with what reads it') if $version == 3;
	isnt(merge('work')->{code}, 0, 'by merge, too');
}
$r = run_cdc('run', "--store.url=file://$folder", '--source.slot=golden', '--source.conninfo=' . $source->conninfo('work'));
isnt($r->{code}, 0, 'run does not write behind it');
ok(!-e "$folder/_cdc/log/00000000000000000007.json", 'and has not');

#
# The wire
#
$source->psql('work', q{select pg_create_logical_replication_slot('wire', 'cdc_s3')});
for my $version (2, 99)
{
	$r = $source->try_psql('work', "select * from pg_logical_slot_get_binary_changes('wire', null, null, 'proto_version', '$version')");
	isnt($r->{code}, 0, "wire format $version is refused");
	like($r->{err}, qr/$version.*\b1\b/s, 'with what is spoken');
}
is($source->try_psql('work', q{select * from pg_logical_slot_get_binary_changes('wire', null, null, 'proto_version', '1')})->{code},
	0, 'wire format 1 is not');

done_testing();
