#-------------------------------------------------------------------------
# The server may send a notice at any time, also while a row is put together:
# an output function warns, or the client has asked for debug messages.  A notice
# may come before what was decoded earlier; rows are whole, in order, and come
# once, long ones in parts among them.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Packets qw(packets);
use CdcS3::Test;
use CdcS3::WalClient qw(frames noisy_type wal_client);

my $source = new_cluster('source', conf => [ 'autovacuum = off', 'max_replication_slots = 20' ])->start;

sub sql { return $source->psql('postgres', $_[0]) }

# Labels are looked up one by one, and a catalog cache tells that it grows.
sql(noisy_type());
my $labels = join ', ', map { "'$_'" } 0 .. 999;
sql(<<"SQL");
create type label as enum ($labels);
SQL
sql(<<'SQL');
create table n (id bigint primary key, before text, v noisy, after text);
alter table n alter before set storage external, alter after set storage external;
select pg_create_logical_replication_slot('s', 'cdc_s3');
create table e (id bigint primary key, l label);
create procedure label(high integer) language plpgsql as $$
begin
	for i in 1 .. high loop
		execute format('insert into e values (%s, %L)', i, i % 1000);
		commit;
	end loop;
end $$;
create procedure fill(low integer, high integer, bytes integer) language plpgsql as $$
begin
	for i in low .. high loop
		execute format('insert into n values (%s, %L, %L, %L)', i,
			repeat('b', i * 7 % bytes),
			case when i % 10 = 5 then 'bad' else 'quiet ' || i end,
			repeat('a', i * 13 % bytes));
		if i % 3 <> 1 then
			commit;
		end if;
	end loop;
end $$;
SQL

# Short rows, some that fill a packet, and some that come in parts, with the
# warning first, in the middle and last.
sql('call fill(1, 2000, 50)');
sql('call fill(2001, 2400, 70000)');
sql($_) for (
	"insert into n values (2401, repeat('b', 9000000), 'bad', 'short')",
	"insert into n values (2402, 'short', 'bad', repeat('a', 9000000))",
	"insert into n values (2403, repeat('b', 20000000), 'bad', repeat('a', 20000000))",
	"set client_min_messages = error;"
	  . " insert into n select 2404, 'short', ('bad' || repeat('v', 20000000))::noisy, 'short'",
	"insert into n values (2405, 'the', 'quiet', 'last')");
sql('call fill(2406, 3000, 300)');
sql('call label(3000)');
my $end = sql('select pg_current_wal_flush_lsn()');

my $debug = '-c log_min_messages=debug1 -c client_min_messages';
my $alone = '-c cdc_s3.read_ahead=0';
my %asked = (
	'an output function that warns' => [ n => '' ],
	'one that warns, for a client that wants no warnings' => [ n => '-c client_min_messages=error' ],
	'one that warns, among debug messages' => [ n => "$debug=debug5" ],
	'one that warns, and none read ahead' => [ n => $alone ],
	'labels' => [ e => '' ],
	'labels, and debug messages' => [ e => "$debug=debug1" ],
	'labels, and all debug messages' => [ e => "$debug=debug5" ],
	'labels, debug messages, and none read ahead' => [ e => "$debug=debug1 $alone" ]);
my %first;
for my $what (sort keys %asked)
{
	my ($table, $options) = @{ $asked{$what} };
	sql("select pg_copy_logical_replication_slot('s', 'copy')");
	my $out = temp_folder() . '/out';
	my $r = wal_client(
		via => $source->conninfo('postgres'),
		slot => 'copy',
		with => "tables 'public.$table'",
		options => $options,
		until => $end,
		out => $out,
		raw => "$out.raw");
	is($r->{code}, 0, "$what: all packets are whole and right") or diag $r->{err};
	my %n = frames($out);
	is($n{I}, 3000, 'all rows');
	is($n{C}, sql("select count(distinct xmin::text) from $table"), 'and commits');
	my (undef, $ids) = packets(slurp("$out.raw"));
	is_deeply($ids, [ 1 .. 3000 ], 'each once, in order');
	$first{$table} //= slurp($out);
	ok(slurp($out) eq $first{$table}, 'and the same as before');
	ok($source->wait_for_free_slot('copy'), 'the walsender ends');
	sql("select pg_drop_replication_slot('copy')");
}
my %said = map { $_ => 1 } $source->log_text =~ /(?:WARNING|DEBUG):  (noisy_out|rehashing)/g;
is_deeply([ sort keys %said ], [ 'noisy_out', 'rehashing' ], 'there were such notices');

done_testing();
