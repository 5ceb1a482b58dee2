#-------------------------------------------------------------------------
# A stream that is cancelled, and begun anew on the same connection, further back:
# rows are read by the catalog of their time, and not by what the first stream
# left in the caches of the session.  No client of ours does that, so this one
# speaks to the server itself.
#-------------------------------------------------------------------------
use strict;
use warnings;
use IO::Socket::UNIX;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Test;

my $source = new_cluster('source')->start;

sub sql { return $source->psql('postgres', $_[0]) }

sql($_)
  for "create table t (id int primary key, v text)",
  "select pg_create_logical_replication_slot('s', 'cdc_s3')",
  "insert into t values (1, 'before')",
  'alter table t add column c int default 5',
  "insert into t values (2, 'behind')";

my ($path) = $source->conninfo('postgres') =~ /host='?([^' ]+)/;
my $socket = IO::Socket::UNIX->new("$path/.s.PGSQL.$source->{port}") or die "$path: $!";

sub receive
{
	my ($n) = @_;
	my $bytes = '';
	while (length $bytes < $n)
	{
		sysread($socket, $bytes, $n - length $bytes, length $bytes) or die "the server has gone\n";
	}
	return $bytes;
}

# Messages up to one that ends it: (last type, texts of CopyData).
sub until_type
{
	my ($ends, $rows) = @_;
	my @texts;
	while (1)
	{
		my ($type, $len) = unpack 'aN', receive(5);
		my $body = receive($len - 4);
		push @texts, substr($body, 25) if $type eq 'd' && $body =~ /^w/;
		return ($type, @texts) if $type =~ $ends;
		return ($type, @texts) if $rows && (grep { /^commit/ } @texts) == $rows;
	}
}

sub command
{
	syswrite $socket, 'Q' . pack('N', length($_[0]) + 5) . "$_[0]\0";
	return;
}

my $hello = pack('N', 196608)
  . join("\0", 'user', 'postgres', 'database', 'postgres', 'replication', 'database', '', '');
syswrite $socket, pack('N', length($hello) + 4) . $hello;
is((until_type(qr/Z/))[0], 'Z', 'a connection');

my @want = (
	'begin', "insert public.t: id=1 v='before'", 'commit',
	'begin', 'table public.t: altered', 'commit',
	'begin', "insert public.t: id=2 v='behind' c=5", 'commit');
for my $time (qw(first second))
{
	command(q{START_REPLICATION SLOT "s" LOGICAL 0/0 ("format" 'text')});
	my (undef, @texts) = until_type(qr/[EZ]/, 3);
	is_deeply([ map { s/\s+\z//r } @texts ], \@want, "the $time stream");
	sql("select pg_cancel_backend(active_pid) from pg_replication_slots where slot_name = 's'");
	is((until_type(qr/E/))[0], 'E', 'is cancelled');
	is((until_type(qr/Z/))[0], 'Z', 'and the session goes on');
}
close $socket;

done_testing();
