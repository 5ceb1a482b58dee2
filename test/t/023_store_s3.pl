#-------------------------------------------------------------------------
# The whole way against a real S3 server, which is killed and comes back.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

plan skip_all => s3_missing() unless have_s3();

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', 'create database shop');
$target->psql('postgres', 'create database shop');
my $demo = top_folder() . '/test/demo/sql';
$source->psql('shop', slurp("$demo/fill.sql"));
$source->copy_csv('shop', 'countries (cca3, name, capital, region, population)',
	top_folder() . '/test/data/countries.csv');
my @tables = qw(countries fundrecs_schema.customers fundrecs_schema.orders
  delivery.orders documents stock_take);

my $store = s3_store();
my $cdc = sidecar($source, 'shop', $store, target => $target);
my $r = $cdc->call('check');
is($r->{code}, 0, 'check finds nothing') or diag $r->{out} . $r->{err};
$cdc->ok('init');
my $run = $cdc->start('--flush.interval=1s');
ok($cdc->wait_loaded, 'tables are loaded') or diag $run->errors;
$source->psql('shop', slurp("$demo/changes.sql"));
ok($cdc->wait_durable, 'changes are durable') or diag $run->errors;
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'shop', $target, 'shop', @tables);

# Without its store the sidecar waits, and the slot with it.
my $server = $store->{server};
$server->kill9;
my $confirmed = "select confirmed_flush_lsn from pg_replication_slots "
  . "where slot_name = 'cdc_s3'";
my $before = $source->psql('shop', $confirmed);
$source->psql('shop', 'delete from countries where population is null');
ok(poll(sub { $run->errors =~ /store does not answer/ }, 60),
	'run says that the store does not answer') or diag $run->errors;
is($source->psql('shop', $confirmed), $before, 'nothing is confirmed meanwhile');
$server->restart;
ok($cdc->wait_durable(120), 'run goes on when the store is back')
  or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'shop', $target, 'shop', @tables);

done_testing();
