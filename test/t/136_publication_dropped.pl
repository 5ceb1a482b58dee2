#-------------------------------------------------------------------------
# A publication that is dropped ends run before anything is passed over.  One
# that is created anew heals by loads; another name, or a drop that is rolled
# back, is no gap; and one that is younger than the slot holds up nothing.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use JSON::PP;

use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$_->psql('postgres', 'create database shop') for $source, $target;
sub sql { return $source->psql('shop', $_[0]) }
sub oid { return sql("select oid from pg_publication where pubname = '$_[0]'") }
my @TABLES = map { "public.$_" } qw(a b);

sql('create table a (id int primary key, v text); create table b (id int primary key, v text);'
	  . 'create table c (id int primary key, v text);'
	  . 'insert into a values (0, $$loaded$$); insert into b values (0, $$loaded$$);'
	  . 'create publication pub for table a, b');
my $cdc = sidecar($source, 'shop', file_store(), target => $target);
my @flags = ('--source.publication=pub', '--flush.interval=1s');
my $run;

sub known { return join ' ', map { "$_->{name}=$_->{oid}" } @{ $cdc->last_entry->{publications} // [] } }
sub confirmed { return sql("select confirmed_flush_lsn from pg_replication_slots where slot_name = 'cdc_s3'") }

sub lines { return map { JSON::PP->new->decode($_) } split /\n/, $cdc->replay }
sub resyncs { return scalar grep { $_->{_op} eq 's' } lines() }
sub merge { return $cdc->call('merge', '--merge.until=now') }

sub streams
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($cdc->wait_durable(120), $name) || diag $run->errors;
}

sub stop
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($run->stop('TERM', 120), 0, 'run ends with 0') or diag $run->errors;
	return;
}

# Merges until nothing is outstanding, while run loads what merges ask for.
sub heals
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $last;
	ok(poll(sub { $cdc->wait_durable(120) && ($last = merge())->{code} == 0 }, 180), $name)
	  or diag $last->{out}, $last->{err}, $run->errors;
	tables_equal($source, 'shop', $target, 'shop', @TABLES);
	return;
}

# run ends with 3 and names the publication; nothing at or behind $lsn counts.
sub misses
{
	my ($name, $pub, $lsn, $id) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($run->wait(120), 3, "$name: exit 3") or diag $run->errors;
	like($run->errors, qr/publication \\?"$pub\\?" of option \S+ was dropped/, 'it is named');
	like($run->errors, qr/Create the publication again/, 'and what can be done');
	is(sql("select confirmed_flush_lsn < '$lsn' from pg_replication_slots where slot_name = 'cdc_s3'"),
		't', 'nothing behind it is confirmed');
	is(scalar(grep { ($_->{id} // -1) == $id } lines()), 0, 'and nothing in the lake');
	return;
}

$cdc->ok('init', @flags);
is(known(), 'pub=' . oid('pub'), 'entry 0 knows the publication');
$run = $cdc->start(@flags);
ok($cdc->wait_loaded(120), 'tables are loaded') or diag $run->errors;
sql('insert into a values (1, $$one$$)');
streams('the stream goes on');
heals('target and source are equal');

# ---- dropped while it streams ----
sql('begin; drop publication pub; insert into a values (2, $$rolled back$$); rollback');
sql('begin; savepoint s; drop publication pub; rollback to s; insert into a values (3, $$kept$$); commit');
streams('a drop that is rolled back is none');
ok($run->alive, 'and run goes on') or diag $run->errors;

sql('drop publication pub');
my $lsn = sql('select pg_current_wal_lsn()');
sql('insert into a values (4, $$while there was none$$); delete from b');
misses('dropped', 'pub', $lsn, 4);

my $r = $cdc->call('run', @flags);
is($r->{code}, 3, 'again, without it: exit 3') or diag $r->{err};
like($r->{err}, qr/publication \\?"pub\\?", by which the log was written, was dropped/, 'it is named');
like($r->{err}, qr/create it again and start run/, 'and the way out');
is(merge()->{code}, 0, 'what is in the lake can be merged');

sql('create publication pub for table a, b; insert into a values (5, $$anew$$)');
$r = $cdc->call('check', @flags);
like($r->{out}, qr/"pub" is not the one that the log knows/, 'check tells that it is another one')
  or diag $r->{out}, $r->{err};
$run = $cdc->start(@flags);
streams('created anew: the stream goes on');
like($run->errors, qr/a publication is not the one that the log knows/, 'with a warning');
is(resyncs(), 2, 'the log tells that its tables lack rows');
is(known(), 'pub=' . oid('pub'), 'and knows the new one');
$r = merge();
like($r->{out}, qr/public\.b: .*\(publication\)/, 'a merge tells why a table is to be loaded')
  if $r->{code} == 8;
heals('it heals by loads');
stop();

# ---- while run is down ----
sql('drop publication pub; insert into a values (6, $$unseen$$); create publication pub for table a, b;'
	  . 'update a set v = $$seen$$ where id = 1');
$run = $cdc->start(@flags, '--load.resync=manual');
streams('dropped and created while run was down');
is(resyncs(), 4, "the log tells it");
$r = merge();
is($r->{code}, 8, 'load.resync=manual: the merge does not end well') or diag $r->{out}, $r->{err};
like($r->{out}, qr/public\.a: .*\(publication\)/, 'and tells why') or diag $r->{out};
stop();
$run = $cdc->start(@flags);
streams('load.resync=auto');
heals('it heals by loads');
stop();

sql('begin; drop publication pub; create publication pub for table a, b; commit;'
	  . 'insert into a values (7, $$seven$$)');
$run = $cdc->start(@flags);
streams('both in one transaction');
is(resyncs(), 4, 'nothing is lost by that, and nothing loaded');
is(known(), 'pub=' . oid('pub'), 'the log knows the new one');
heals('target and source are equal');

# ---- another name ----
sql('alter publication pub rename to other; insert into a values (8, $$eight$$)');
streams('renamed while it streams');
stop();
$r = $cdc->call('run', @flags);
is($r->{code}, 4, 'the old name: the code of the source') or diag $r->{err};
like($r->{err}, qr/publication \\?"pub\\?" was renamed to \\?"other\\?"/, 'and the new one is told');
sql('alter publication other rename to third; insert into a values (9, $$nine$$)');
@flags = ('--source.publication=third', '--flush.interval=1s');
$run = $cdc->start(@flags);
streams('renamed while run was down');
is(known(), 'third=' . oid('third'), 'the log goes by its OID');
is(resyncs(), 4, 'nothing is lost by a name');
heals('target and source are equal');
stop();

# ---- two, of which one goes ----
sql('insert into c values (1, $$before$$); create publication extra for table c; insert into c values (2, $$two$$)');
@flags = ('--source.publication=third, extra', '--flush.interval=1s');
$run = $cdc->start(@flags);
streams('one that is younger than the slot holds up nothing');
is(scalar(grep { $_->{_table} eq 'c' && $_->{_op} eq 'i' && $_->{id} == 2 } lines()), 1, 'it counts from its creation on');
is(known(), join(' ', map { "$_=" . oid($_) } qw(third extra)), 'the log knows both');
sql('begin; insert into a values (10, $$ten$$); drop publication extra; insert into b values (10, $$ten$$); commit');
$lsn = sql('select pg_current_wal_lsn()');
misses('one of two, in a transaction', 'extra', $lsn, 10);
@flags = ('--source.publication=third', '--flush.interval=1s');
$run = $cdc->start(@flags);
streams('without it the stream goes on');
is(scalar(grep { ($_->{id} // -1) == 10 && $_->{_op} eq 'i' } lines()), 2, 'and has the whole transaction');
stop();

done_testing();
