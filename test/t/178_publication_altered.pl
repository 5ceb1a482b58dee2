#-------------------------------------------------------------------------
# Tables that leave a publication and come back to it, all behind the position
# at which a session begins, so that it never saw them: what was changed in
# between is in no stream.  It is told, and they are loaded anew.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$_->psql('postgres', 'create database shop') for $source, $target;
sub sql { return $source->psql('shop', $_[0]) }

# Each table and what is done to it while run is down.
my %away = (
	dropped => 'alter publication pub drop table dropped; insert into dropped values (1, $$unseen$$);'
	  . 'alter publication pub add table dropped',
	replaced => 'alter publication pub set table dropped, together, quiet, twice; update replaced set v = $$unseen$$;'
	  . 'alter publication pub set table dropped, replaced, together, quiet, twice',
	together => 'begin; alter publication pub drop table together; insert into together values (1, $$unseen$$);'
	  . 'alter publication pub add table together; commit',
	's.whole' => 'alter publication schemas drop tables in schema s; delete from s.whole;'
	  . 'alter publication schemas add tables in schema s',
	root => 'alter publication roots drop table root; insert into root values (101, $$unseen$$);'
	  . 'alter publication roots add table root',
);
my @tables = map { /\./ ? $_ : "public.$_" } sort keys %away, qw(quiet twice);

sql('create schema s; create table root (id int primary key, v text) partition by range (id);'
	  . 'create table root_1 partition of root for values from (0) to (100);'
	  . 'create table root_2 partition of root for values from (100) to (200);'
	  . join '', map { ($_ eq 'root' ? '' : "create table $_ (id int primary key, v text);") . "insert into $_ values (0, 'loaded');" }
	  sort keys %away, qw(quiet twice));
sql('create publication pub for table dropped, replaced, together, quiet, twice;'
	  . 'create publication schemas for tables in schema s;'
	  . 'create publication roots for table root with (publish_via_partition_root)');
my $cdc = sidecar($source, 'shop', file_store(), target => $target);
my @flags = ('--source.publication=pub, schemas, roots', '--flush.interval=1s');
my $run;

sub start
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$run = $cdc->start(@flags);
	return ok($cdc->wait_durable(120), $name) || diag $run->errors;
}

sub stop
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($run->stop('TERM', 120), 0, 'run ends with 0') or diag $run->errors;
	return;
}

sub merge { return $cdc->call('merge', '--merge.until=now') }

# A merge that ends well has all that the source has: nothing lacks in silence.
sub heals
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $last;
	ok(poll(sub { $cdc->wait_durable(120) && ($last = merge())->{code} == 0 }, 180), $name)
	  or diag $last->{out}, $last->{err}, $run->errors;
	tables_equal($source, 'shop', $target, 'shop', @tables);
	return;
}

$cdc->ok('init', @flags);
start('the stream begins');
ok($cdc->wait_loaded(120), 'tables are loaded') or diag $run->errors;
heals('target and source are equal');
stop();
my $loads = () = $cdc->replay =~ /"_op":"r"/g;

# ---- all of it while run is down ----
sql($away{$_}) for sort keys %away;
start('tables left and came back while run was down');
heals('they are loaded anew');
my @lines = grep { /"_op":"r"/ } split /\n/, $cdc->replay;
is(scalar(grep { /"_table":"quiet"/ } @lines), 1, 'and no other one is');
stop();

# ---- left in one session, back in another ----
sql('alter publication pub drop table twice; insert into twice values (1, $$unseen$$)');
start('a table that left while run was down');
stop();
sql('insert into twice values (2, $$unseen$$); alter publication pub add table twice; insert into twice values (3, $$seen$$)');
start('and came back while it was down again');
heals('is loaded anew');
stop();

# ---- operations ----
sql('alter publication pub set (publish = $$insert$$); update quiet set v = $$unseen$$;'
	  . 'alter publication pub set (publish = $$insert, update, delete, truncate$$)');
start('operations that left and came back while run was down');
heals('its tables are loaded anew');
stop();

sql('alter publication pub set (publish = $$insert, update$$); delete from quiet');
start('operations that left while run was down');
stop();
sql('insert into quiet values (7, $$seen$$); alter publication pub set (publish = $$insert, update, delete, truncate$$)');
start('and came back while it was down again');
heals('its tables are loaded anew');
stop();

# ---- no news ----
my $before = () = $cdc->replay =~ /"_op":"r"/g;
sql('alter publication pub set (publish = $$insert, update, delete, truncate$$); alter publication pub owner to current_user;'
	  . 'alter publication pub rename to other; alter publication other rename to pub; insert into quiet values (8, $$seen$$)');
start('changes of a publication that leave nothing out');
heals('nothing lacks');
my $after = () = $cdc->replay =~ /"_op":"r"/g;
is($after, $before, 'and nothing is loaded');
stop();
done_testing();
