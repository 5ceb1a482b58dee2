#-------------------------------------------------------------------------
# A row filter that a publication got and lost again while the slot was behind:
# the stream goes on, what was changed meanwhile is not in the lake, and a
# resync record and each merge say so.  One that holds refuses the stream, and
# only as long as it does.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use JSON::PP;

use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
for my $server ($source, $target)
{
	$server->psql('postgres', 'create database shop');
}
sub sql { return $source->psql('shop', $_[0]) }

sql(<<'SQL');
create table plain (id int primary key, v text);
create table filtered (id int primary key, v text);
create publication pub for table plain, filtered;
SQL
my $cdc = sidecar($source, 'shop', file_store(), target => $target);
my @flags = ('--source.publication=pub');
$cdc->ok('init', @flags);
my $run = $cdc->start(@flags);
ok($cdc->wait_loaded, 'tables are loaded') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

sql(<<'SQL');
insert into plain values (1, 'before'); insert into filtered values (1, 'before');
alter publication pub set table plain, filtered where (id > 100);
insert into plain values (2, 'meanwhile'); insert into filtered values (2, 'private'), (200, 'public');
SQL
my $r = $cdc->call('run', @flags, '--flush.interval=1s');
is($r->{code}, 4, 'a filter that holds: the code of the source') or diag $r->{err};
like($r->{err}, qr/row filter/, 'says so');
like($r->{err}, qr/Remove the row filter from the publication/, 'and how it is mended');

sql(<<'SQL');
alter publication pub set table plain, filtered;
insert into plain values (3, 'after'); insert into filtered values (3, 'after');
SQL
$run = $cdc->start(@flags);
ok($cdc->wait_durable, 'without it the stream goes on') or diag $run->errors;
my @lines = map { JSON::PP->new->decode($_) } split /\n/, $cdc->replay;
is( join(' ', map { $_->{_op} . ($_->{id} // $_->{_reason}) } grep { $_->{_table} eq 'filtered' } @lines),
	'i1 sfilter i3', 'what was changed while it held is left out, and a record tells');
is(join(' ', map { $_->{id} } grep { $_->{_table} eq 'plain' } @lines), '1 2 3',
	'another table of the publication is whole');
$r = $cdc->call('merge', '--merge.until=now');
is($r->{code}, 8, 'the merge: something is outstanding');
like($r->{out},
	qr/^public\.filtered: to be loaded anew, rows changed at LSN \S+ without change events \(filter\); run is asked for it$/m,
	'the merge tells');
is($target->psql('shop', 'select string_agg(id::text, $$ $$ order by id) from filtered'), '1 3',
	'nothing private is at the target');
like($source->log_text, qr/WARNING:  changes of table "public\.filtered" are not sent/,
	'the log of the server has a warning');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

done_testing();
