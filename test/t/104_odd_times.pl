#-------------------------------------------------------------------------
# An origin sets commit times freely, to infinity and to years of six digits:
# each row has a folder and a _ts with a year of four digits, and is merged.
# And a row of numbers that are short as they are stored and long as text.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;

sub sql { return $source->psql('postgres', $_[0]) }

sql("create table t (id int primary key, v text); select pg_replication_origin_create('o')");
for my $format ('json', 'parquet')
{
	my $cdc = sidecar($source, 'postgres', file_store(), slot => $format,
		target => $target, flags => ["--output.format=$format"]);
	$cdc->ok('init');
	my $run = $cdc->start('--load.mode=never', '--flush.interval=1s');
	my %times = (1 => 'infinity', 2 => '-infinity', 3 => '294276-01-01', 4 => '4700-01-01 BC');
	for my $id (sort keys %times)
	{
		sql("select pg_replication_origin_session_setup('o'); begin;
			select pg_replication_origin_xact_setup('0/$id', '$times{$id}');
			insert into t values ($id, '$format'); commit");
	}
	sql("insert into t values (5, '$format')");
	ok($cdc->wait_durable(60), "$format: all are durable") or diag $run->errors;
	is($run->stop('TERM', 60), 0, "$format: run stops");
	my %ts = map { /"_ts":"([^"]*)".*"id":(\d)/ ? ($2 => $1) : () } split /\n/, $cdc->ok('replay');
	is($ts{1}, '9999-12-31T23:59:59.999999Z', "$format: infinity");
	is($ts{2}, '0001-01-01T00:00:00.000000Z', "$format: -infinity");
	is($ts{3}, $ts{1}, "$format: beyond the years of four digits");
	is($ts{4}, $ts{2}, "$format: before them");
	ok((grep { m{year=9999/month=12/day=31/hour=23/} } $cdc->objects), "$format: a folder for the one")
	  or diag join "\n", $cdc->objects;
	$target->psql('postgres', 'drop schema if exists cdc_s3 cascade; drop table if exists t');
	$cdc->ok('merge', '--until=now');
	is($target->psql('postgres', 'select count(*) from t'), 5, "$format: merged");
	sql('delete from t');
}

# 150 × 131,072 digits: 2 kB as it is stored, 19 MB as a line.
my $columns = join ', ', map { "n$_ numeric" } 1 .. 150;
my $values = join ', ', ('1e131071') x 150;
sql("create table n (id int primary key, $columns)");
my $cdc = sidecar($source, 'postgres', file_store(), slot => 'numbers', target => $target);
$cdc->ok('init');
my $run = $cdc->start('--load.mode=never', '--flush.interval=1s');
sql("insert into n values (1, $values)");
ok($cdc->wait_durable(120), 'a row whose numbers pass 16 MB is durable') or diag $run->errors;
unlike($run->errors, qr/session lost/, 'in one session');
is($run->stop('TERM', 60), 0, 'run stops');
$target->psql('postgres', 'drop schema if exists cdc_s3 cascade');
my $r = $cdc->call('merge', '--until=now');
is($r->{code}, 0, 'and merged') or diag substr $r->{err}, 0, 2000;
is($target->psql('postgres', 'select count(*) from n where n1 = 1e131071 and n150 = n1'), 1, 'as it was');
done_testing();
