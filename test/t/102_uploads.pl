#-------------------------------------------------------------------------
# Uploads in parts that a killed writer leaves: the next one finds them on
# servers that list them, that list those of an exact key only, and that
# refuse the listing; for what is begun is written down before.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Test;

my $source = new_cluster('source')->start;

sub sql { return $source->psql('postgres', $_[0]) }

sql('create table t (id int primary key, v text); alter table t alter v set storage external');

my $n = 0;
for my $how ('', 'exact', 'refused')
{
	my $what = 'a server that ' . ($how eq 'refused' ? 'lists none' : $how ? 'lists by key' : 'lists all');
	subtest $what => sub {
		my $s3 = CdcS3::FakeS3->start(uploads => $how);
		my $slot = 'slot' . ++$n;
		my $cdc = sidecar($source, 'postgres', $s3->store, slot => $slot);
		my @flags = ('--load.mode=never', '--flush.interval=1h', '--output.compression=none');
		my $notes = sub { grep { m{_cdc/uploads/} } $s3->keys_stored };
		$cdc->ok('init');
		my $run = $cdc->start(@flags, '--flush.bytes=1GB');
		sql("insert into t select $n * 1000 + i, repeat('x', 1000000) from generate_series(1, 30) i");
		ok(poll(sub { scalar $s3->uploads }, 60), 'an upload is under way') or diag $run->errors;
		ok(scalar $notes->(), 'and it is written down');
		$run->stop('KILL', 60);
		ok(scalar $s3->uploads, 'a kill leaves it');

		$run = $cdc->start(@flags);
		ok($cdc->wait_durable(120), 'the next writer goes on') or diag $run->errors;
		sql("insert into t values (-$n, '')");
		ok($cdc->wait_durable(120), 'and on') or diag $run->errors;
		ok(poll(sub { !$s3->uploads && !$notes->() }, 60), 'no upload is left, and no note')
		  or diag join "\n", $run->errors, $s3->uploads, $notes->();
		is($run->stop('TERM', 60), 0, 'run stops');
		is(scalar(grep { /"_op":"i"/ } split /\n/, $cdc->ok('replay')), 31, 'each row once');
		sql("select pg_drop_replication_slot('$slot')");
	};
}
done_testing();
