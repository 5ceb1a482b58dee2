#-------------------------------------------------------------------------
# flush.tables: changes of some tables want a checkpoint sooner, which is one of
# all tables.  flush.interval is an hour here, so whatever entry has rows comes
# from a rule.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

my $source = new_cluster('source')->start;
$source->psql('postgres', 'create database shop');
$source->psql('shop', <<'SQL');
create table cold (id int primary key, note text);
create table hot (id int primary key, note text);
create table wide (id int primary key, note text);
create table timed (id int primary key, note text);
SQL

my $cdc = sidecar(
	$source, 'shop', file_store(),
	flags => [
		'--flush.interval=1h', '--flush.bytes=1GB', '--load.mode=never', '--output.names=part',
		'--flush.tables=public.hot rows=5; "public"."wide" bytes=20kB; public.timed, public.none interval=1s' ]);
$cdc->ok('init');
my $run = $cdc->start;
ok(poll(sub { $run->errors =~ /streaming/ }, 120), 'run streams') or diag $run->errors;

# Rows of each table that the log lists: "cold 2, hot 5".
sub listed
{
	my %rows;
	$rows{ $_->{table} } += $_->{rows} for map { $cdc->entry_objects($_) } $cdc->entries;
	return join ', ', map { "$_ $rows{$_}" } sort keys %rows;
}

sub comes
{
	my ($want, $name) = @_;
	my $have;
	ok(poll(sub { ($have = listed()) eq $want }, 120), $name) or diag "$have\n" . $run->errors;
	return;
}

$source->psql('shop', q{insert into cold values (1, 'a'), (2, 'b')});
$source->psql('shop', "insert into hot values ($_, 'x')") for 1 .. 4;
$source->psql('shop', q{begin; insert into hot values (5, 'x'); insert into cold values (3, 'c'); commit});
comes('cold 3, hot 5', 'five rows of one table bring all that is there');
my @with_rows = grep { $cdc->entry_objects($_) } $cdc->entries;
is(scalar @with_rows, 1, 'in one entry, and none came before');

$source->psql('shop', q{insert into cold values (4, 'd')});
$source->psql('shop', q{insert into wide select g, string_agg(md5(i::text), '') from generate_series(1, 3) g, generate_series(1, 400) i group by g});
comes('cold 4, hot 5, wide 3', 'so do bytes of another one');

$source->psql('shop', q{insert into hot values (6, 'y')});
$source->psql('shop', q{insert into timed values (1, 'z')});
comes('cold 4, hot 6, timed 1, wide 3', 'and the time since a row of a third one');
$source->psql('shop', q{insert into cold values (5, 'e')});
# what a stop brings is what had come by then
my $lsn = $source->psql('shop', 'select pg_current_wal_lsn()');
ok(poll(sub { $source->psql('shop', "select write_lsn >= '$lsn' from pg_stat_replication") eq 't' }, 60), 'the row has come')
  or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;
comes('cold 5, hot 6, timed 1, wide 3', 'a stop brings the rest');

for my $bad ('public.hot', 'hot rows=5', 'public.hot rows=none', 'public.hot interval=1ms')
{
	my $r = $cdc->call('run', "--flush.tables=$bad");
	is($r->{code}, 2, "$bad: exit 2");
	like($r->{err}, qr/flush\.tables/, 'and why');
}

done_testing();
