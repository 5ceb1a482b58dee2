#-------------------------------------------------------------------------
# Objects in parts on an S3 server: a transaction that is larger than memory
# becomes a few objects, and a sidecar that is killed while it writes one
# leaves no upload behind once it has started again.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::StoreTool qw(store_tool);
use CdcS3::Test;

my $source = new_cluster('source', conf => ['max_wal_size = 4GB'])->start;

# Hex digits: compressed to a half, whatever the level.
my $wide = "(select string_agg(md5((i * 100 + k)::text), '') "
  . 'from generate_series(1, 60) k)';

sub uploads_of
{
	my ($store) = @_;
	return store_tool(
		url => $store->{url},
		endpoint => $store->{server}->endpoint,
		retry_ms => 5000,
		env => $store->{env})->ok(uploads => '');
}

# Rows of table "big" as the lake has them, one md5 over all; '' when a row
# comes twice.
sub in_lake
{
	my ($cdc) = @_;
	my %seen;
	for my $line (split /\n/, $cdc->replay('--table=public.big'))
	{
		my ($id, $v) = $line =~ /"id":(-?\d+),"v":"([^"]*)"/ or next;
		return '' if exists $seen{$id};
		$seen{$id} = $v;
	}
	require Digest::MD5;
	return scalar(keys %seen) . ' '
	  . Digest::MD5::md5_hex(join '', map { $seen{$_} } sort { $a <=> $b } keys %seen);
}

sub in_source
{
	my ($db) = @_;
	return $source->psql($db,
		"select count(*) || ' ' || md5(string_agg(v, '' order by id)) from big");
}

# Whether run was stopped while an upload is open.  It runs between two looks
# only, so that no upload can end between a look and a kill.
sub held_in_upload
{
	my ($run, $store) = @_;
	$run->signal('STOP');
	return 1 if length uploads_of($store);
	$run->signal('CONT');
	return;
}

sub check_server
{
	my ($name, $store) = @_;
	my $db = "db_$name";
	$source->psql('postgres', "create database $db");
	$source->psql($db, 'create table big (id integer primary key, v text)');
	my $cdc = sidecar(
		$source, $db, $store,
		slot => "slot_$name",
		flags => ['--load.mode=never']);
	$cdc->ok('init');
	my $run = $cdc->start('--flush.interval=1s');
	$source->psql($db, "insert into big values (0, 'first')");
	ok($cdc->wait_durable, 'a row is durable') or diag $run->errors;

	# About 50 MB of lines, more than memory.limit; 25 MB compressed.
	$source->psql($db,
		"insert into big select i, $wide from generate_series(1, 25000) i");
	ok($cdc->wait_durable(120), 'a large transaction is durable')
	  or diag $run->errors;
	my @big = grep { m{/big/.*/part-} } split /\n/, $cdc->ls('objects');
	cmp_ok(scalar @big, '<=', 4, 'it is a few objects');
	is(uploads_of($store), '', 'no upload is left');
	is(in_lake($cdc), in_source($db), 'the lake has each row once');

	# Killed while an upload is open.
	$source->psql($db,
		"insert into big select i, $wide from generate_series(30001, 70000) i");
	ok(poll(sub { held_in_upload($run, $store) }, 60), 'an upload is under way')
	  or diag $run->errors;
	is($run->stop('KILL'), -9, 'killed');
	isnt(uploads_of($store), '', 'an upload is left');

	# Only what can never count is removed.
	$run = $cdc->start('--flush.interval=1s');
	ok($cdc->wait_durable(120), 'the next start goes on') or diag $run->errors;
	$source->psql($db, "insert into big values (-1, 'another entry')");
	ok($cdc->wait_durable, 'and makes another entry') or diag $run->errors;
	ok(poll(sub { uploads_of($store) eq '' }, 60), 'no upload is left')
	  or diag $run->errors;
	is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
	is(in_lake($cdc), in_source($db), 'the lake has each row once');
	return;
}

subtest 'a scripted server' => sub {
	check_server('fake', CdcS3::FakeS3->start->store);
};
subtest 'versitygw' => sub {
	plan skip_all => s3_missing() unless have_s3();
	check_server('gw', s3_store());
};

done_testing();
