#-------------------------------------------------------------------------
# A source that says nothing.  A box between may have forgotten the connection
# and still acknowledge what is sent: then it is given up, and a new one goes
# on.  Or the server works at something long and looks at no socket: then it is
# waited for, however long it takes.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Middlebox;
use CdcS3::Test;
use CdcS3::WalClient qw(noisy_type);

my $source = new_cluster('source', conf => ['wal_sender_timeout = 4s'])->start;

sub sql { return $source->psql('postgres', $_[0]) }

sql('create table t (id int primary key)');

subtest 'a connection that is forgotten' => sub {
	my $box = CdcS3::Middlebox->start(to => "$source->{socket}/.s.PGSQL.$source->{port}");
	my $cdc = sidecar($source, 'postgres', file_store(),
		source_conninfo => 'host=127.0.0.1 user=postgres dbname=postgres sslmode=disable '
		  . 'gssencmode=disable port=' . $box->port);
	$cdc->ok('init');
	my $run = $cdc->start('--load.mode=never', '--flush.interval=1s');
	sql('insert into t values (1)');
	ok($cdc->wait_durable(60), 'a row goes through') or diag $run->errors;
	$box->forget;
	sql('insert into t values (2)');
	ok($cdc->wait_durable(120), 'a row behind it comes by a new connection')
	  or diag $run->errors;
	like($run->errors, qr/session lost.*has said nothing for/, 'and the log says why');
	is($run->stop('TERM', 60), 0, 'run stops');
	is(scalar(grep { /"_op":"i"/ } split /\n/, $cdc->ok('replay')), 2, 'each row once');
};

# The server's process is in the output function of a type, and as silent as in
# a decode that only reads.
subtest 'a server that works' => sub {
	sql(noisy_type() . 'create table s (id int primary key, v noisy);');
	my $cdc = sidecar($source, 'postgres', file_store(), slot => 'second');
	$cdc->ok('init');
	my $run = $cdc->start('--load.mode=never', '--flush.interval=1s',
		'--source.silence_limit=1s');
	sql('insert into t values (10)');
	ok($cdc->wait_durable(60), 'a row goes through') or diag $run->errors;
	sql("insert into s values (1, 'slow 8'::text::noisy)");
	ok($cdc->wait_durable(120), 'so does one that takes eight limits')
	  or diag $run->errors;
	my $waited = () = $run->errors =~ /works and does not answer, waiting/g;
	cmp_ok($waited, '>=', 5, 'it was waited for, and said so');
	unlike($run->errors, qr/session lost/, 'in one session') or diag $run->errors;
	is($run->stop('TERM', 60), 0, 'run stops');
};
done_testing();
