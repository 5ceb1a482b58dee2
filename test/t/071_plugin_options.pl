#-------------------------------------------------------------------------
# The plugin's options over the replication protocol, where an option may come
# without a value, and what its client hears of bad ones.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Test;

my $pg = new_cluster('options')->start;
$pg->psql('postgres', 'create table t (id int primary key)');
$pg->psql('postgres', q{select pg_create_logical_replication_slot('s', 'cdc_s3')});
$pg->psql('postgres', 'insert into t values (1)');
my $end = $pg->psql('postgres', 'select pg_current_wal_flush_lsn()');

# One read of the slot, which confirms what it gets.
sub receive
{
	my (@options) = @_;
	return capture(
		[
			CdcS3::Cluster::program('pg_recvlogical'), '-d',
			$pg->conninfo('postgres'), '-S', 's', '--start', '--no-loop',
			'-f', '-', "--endpos=$end", '--fsync-interval=0',
			'--status-interval=0', map { ('-o', $_) } @options
		],
		timeout => 60);
}

my $r = receive('format=text', 'include_xid');
is($r->{code}, 0, 'an option without a value') or diag $r->{err};
like($r->{out}, qr/^begin \[xid \d+\]$/m, 'is on');

$pg->psql('postgres', 'insert into t values (2)');
$end = $pg->psql('postgres', 'select pg_current_wal_flush_lsn()');
for my $case (
	[ ['format'], qr/option "format" .* needs a value/, qr/Allowed: binary, text/ ],
	[ ['tables'], qr/option "tables" .* needs a value/, qr/Allowed: patterns such as/ ],
	[ ['proto_version'], qr/option "proto_version" .* needs a value/, qr/Allowed: \d/ ],
	[ ['format=json'], qr/invalid value "json" for option "format"/, qr/Allowed: binary, text/ ],
	[ [ 'include_xid', 'include_xid=off' ], qr/option "include_xid" .* given more than once/, qr/Valid options/ ],
	[ ['write-in-chunks'], qr/unrecognized option "write-in-chunks"/, qr/Valid options: .*"tables"/ ])
{
	my ($options, $error, $hint) = @$case;
	$r = receive(@$options);
	isnt($r->{code}, 0, "@$options is refused");
	like($r->{err}, $error, 'the client hears why');
	# pg_recvlogical prints no hint before 16, so it is looked up in the log.
	like($pg->log_text, $hint, 'and what is allowed');
}

$r = receive('format=text');
is($r->{code}, 0, 'the slot is as usable as before');
like($r->{out}, qr/^insert public\.t: id=2$/m, 'and nothing of it was consumed');

done_testing();
