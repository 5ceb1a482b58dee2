#-------------------------------------------------------------------------
# Wrong servers, passwords, slots, folders and buckets: one line that names
# the thing and the mend, and the exit code that a supervisor can act on.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Test;

my $source = new_cluster('source', tcp => 1)->start;
$source->psql('postgres', 'create table t (id integer primary key)');
$source->psql('postgres', q{create role cdc login replication password 'right'});
$source->psql('postgres', 'grant select on t to cdc');
my $cdc = sidecar($source, 'postgres', file_store());
my $secret = 'wrong-horse';

# fails(name, command, code, regex, arguments): one line, and no secret.
sub fails
{
	my ($name, $command, $code, $expected, @args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = $cdc->call($command, @args);
	is($r->{code}, $code, "$name: $command: exit code") or diag $r->{err};
	my ($last) = $r->{err} =~ /^(cdc-s3: [^\n]+)\n\z/m;
	ok($last, "$name: $command: ends with one line") or diag $r->{err};
	like($last // '', $expected, "$name: $command: message");
	like($last // '', qr/; \S/, "$name: $command: mend");
	unlike($r->{err} . $r->{out}, qr/\Q$secret\E/, "$name: $command: no secret");
	return $r;
}

# The source.
{
	local $cdc->{source_conninfo} = 'host=/no/such/folder dbname=postgres';
	fails('no server', $_, 4, qr{/no/such/folder.*source\.conninfo})
	  for qw(init check);
}
{
	local $cdc->{source_conninfo} = 'host=nowhere.invalid dbname=postgres';
	fails('no host', 'init', 4, qr/"nowhere\.invalid".*source\.conninfo/);
}
{
	local $cdc->{source_conninfo} = $source->conninfo('nodb');
	fails('no database', $_, 4, qr/"nodb" does not exist.*dbname/)
	  for qw(init check);
}
{
	local $cdc->{source_conninfo} =
	  $source->conninfo('postgres', user => 'nobody_here');
	fails('no role', $_, 6, qr/"nobody_here" does not exist/)
	  for qw(init check);
}

# Passwords: the server asks for one over TCP.
my $hba = "$source->{data}/pg_hba.conf";
my $old = slurp($hba);
open my $f, '>', $hba or die "$hba: $!";
print $f "host all all 127.0.0.1/32 scram-sha-256\n$old";
close $f or die $!;
$source->reload;
my $conninfo = $source->conninfo('postgres', user => 'cdc', tcp => 1);
$source->poll_until('postgres',
	q{select count(*) = 1 from pg_hba_file_rules where auth_method ~ 'scram'});
{
	local $cdc->{source_conninfo} = $conninfo;
	local $cdc->{env} = { PGPASSWORD => $secret };
	fails('wrong password', $_, 6, qr/password authentication failed.*PGPASS/)
	  for qw(init check);
	$cdc->{env} = {};
	fails('no password', $_, 6, qr/password.*PGPASS/) for qw(init check);
	$cdc->{env} = { PGPASSWORD => 'right' };
	is($cdc->call('check', '--no-race')->{code}, 0, 'right password')
	  or diag $cdc->call('check')->{out};
}

# A conninfo that libpq cannot read.
{
	local $cdc->{source_conninfo} = 'host=x hots=y';
	fails('broken conninfo', 'init', 2, qr/"source\.conninfo".*hots/);
}
{
	local $cdc->{env} =
	  { CDC_S3_SOURCE_CONNINFO => "host=x password=a $secret" };
	no warnings 'redefine';
	local *CdcS3::Sidecar::flags =
	  sub { return "--store.url=$_[0]{store}{url}" };
	fails('broken conninfo with a password', 'init', 2,
		qr/"source\.conninfo".*CDC_S3_SOURCE_CONNINFO/);
}

# Slots.
$source->psql('postgres',
	q{select pg_create_logical_replication_slot('taken', 'test_decoding')});
fails('slot of another plugin', 'init', 4,
	qr/"taken".*"test_decoding".*source\.slot/, '--source.slot=taken');
$source->psql('postgres',
	q{select pg_create_physical_replication_slot('physical')});
fails('physical slot', 'init', 4, qr/"physical".*source\.slot/,
	'--source.slot=physical');
$source->psql('postgres', 'create database other');
$source->psql('other',
	q{select pg_create_logical_replication_slot('elsewhere', 'cdc_s3')});
fails('slot of another database', 'init', 4, qr/"elsewhere".*"other"/,
	'--source.slot=elsewhere');
like(
	$cdc->ok('init', '--source.slot=fine'),
	qr/^initialised: slot "fine" .* created at [0-9A-F]+\/[0-9A-F]+/,
	'init');
like(
	$cdc->ok('init', '--source.slot=fine'),
	qr/^already initialised: /,
	'init again');
fails('log of another slot', 'init', 3, qr/"fine".*"cdc_s3".*store\.url/);
$source->psql('postgres', q{select pg_drop_replication_slot('fine')});
fails('slot is gone', 'init', 3,
	qr/"fine" is missing.*entry 0.*new lake/, '--source.slot=fine');
{
	my $twin = new_cluster('twin')->start;
	local $cdc->{source} = $twin;
	fails('another server', 'init', 3,
		qr/another server.*system identifier.*store\.url/,
		'--source.slot=fine');
}

# An init that was cut off before its entry leaves a slot: it is adopted.
{
	local $cdc->{store} = file_store(temp_folder() . '/second');
	local $cdc->{slot} = 'adopted';
	$source->psql('postgres',
		q{select pg_create_logical_replication_slot('adopted', 'cdc_s3')});
	like($cdc->ok('init', '--load.mode=never'),
		qr/"adopted" .* adopted at /, 'a slot of ours is adopted');
	my ($entry) = $cdc->entries;
	is($entry->{prev_end_lsn}, $entry->{end_lsn}, 'entry 0 is a point');
	is_deeply([ $entry->{entry}, $entry->{loaded} ? 1 : 0 ],
		[ 0, 1 ], 'load.mode=never: nothing will be loaded');
	is( $source->psql('postgres',
			"select confirmed_flush_lsn - '0/0'::pg_lsn = "
			  . hex($entry->{end_lsn})
			  . " from pg_replication_slots where slot_name = 'adopted'"),
		't',
		'entry 0 is where the slot is');
}

# Folders.
{
	local $cdc->{store} = file_store('/proc/nowhere');
	fails('folder that cannot be made', $_, 5, qr{/proc/nowhere})
	  for qw(init check);
	my $r = $cdc->on_lake('ls');
	isnt($r->{code}, 0, 'folder that is not there: ls');
	like($r->{err}, qr/^cdc-s3: [^\n]*there is no log[^\n]*init[^\n]*\n\z/,
		'folder that is not there: ls says so');
}
{
	my $file = temp_folder() . '/file';
	open my $x, '>', $file or die $!;
	close $x;
	local $cdc->{store} = file_store($file);
	fails('a file for a folder', 'init', 5, qr/\Q$file\E/);
}

# Buckets.
SKIP:
{
	skip s3_missing(), 1 unless have_s3();
	my $store = s3_store();
	local $cdc->{store} = $store;
	local $cdc->{slot} = 's3';
	{
		local $store->{url} = 's3://no-such-bucket/cdc';
		fails('no bucket', $_, 5, qr/no-such-bucket|NoSuchBucket/)
		  for qw(init check);
	}
	{
		local $store->{env} =
		  { %{ $store->{env} }, AWS_SECRET_ACCESS_KEY => $secret };
		fails('wrong key', $_, 6, qr/403|SignatureDoesNotMatch/)
		  for qw(init check);
	}
	{
		local $store->{env} = { AWS_EC2_METADATA_DISABLED => 'true' };
		fails('no key', $_, 6, qr/AWS_ACCESS_KEY_ID/) for qw(init check);
	}
	{
		local $store->{flags} = ['--store.endpoint=http://127.0.0.1:1'];
		fails('no S3 server', 'check', 5, qr/127\.0\.0\.1/);
		fails('no S3 server', 'init', 75, qr/127\.0\.0\.1/);
	}
	is($cdc->call('check')->{code}, 0, 'the right bucket')
	  or diag $cdc->call('check')->{out};
	$cdc->ok('init');
}

done_testing();
