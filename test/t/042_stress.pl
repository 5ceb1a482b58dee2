#-------------------------------------------------------------------------
# Everything at once.  Rows of every size, transactions of every kind, notices and
# messages are read by a client that is slow, silent, asks, confirms, cancels, ends
# streams in their middle, goes away, terminates its walsender and reloads the
# server, over a Unix socket, TCP and TLS, at times with a small wal_sender_timeout,
# while the server is stopped and started.  What it got is, frame for frame, what a
# client that does nothing of this gets from a server whose plugin neither reads
# ahead nor gathers.
#
# It runs for STRESS_SECONDS, in rounds.  STRESS_SEED names the first one's: what
# is written and done follows from it, though not when.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Proc qw(give_to_server_user);
use CdcS3::S3Server;
use CdcS3::Test;
use CdcS3::WalClient qw(noisy_type wal_client wal_client_command);

my @tls_conf;
if (CdcS3::Cluster::pg_config('configure') =~ /openssl/)
{
	my $folder = temp_folder();
	my ($cert, $key) = CdcS3::S3Server::make_certificate($folder);
	chmod 0600, $key;
	give_to_server_user($folder, $cert, $key);
	@tls_conf = ('ssl = on', "ssl_cert_file = '$cert'", "ssl_key_file = '$key'");
}
my $source = new_cluster(
	'source',
	tcp => 1,
	conf => [
		'autovacuum = off', 'logical_decoding_work_mem = 64kB',
		'max_wal_size = 256MB', 'max_prepared_transactions = 10', @tls_conf
	])->start;

sub sql { return $source->psql('postgres', $_[0]) }

my @ways = (
	$source->conninfo('postgres'),
	$source->conninfo('postgres', tcp => 1) . ' sslmode=disable',
	@tls_conf ? $source->conninfo('postgres', tcp => 1) . ' sslmode=require' : ());

# A server with assertions is one of several that are tested.
my $seconds = $ENV{STRESS_SECONDS} // (sql('show debug_assertions') eq 'on' ? 30 : 60);
my $seed = $ENV{STRESS_SEED} // int rand 1_000_000;
note "STRESS_SEED=$seed STRESS_SECONDS=$seconds";

# ---- what is written ----

sql(noisy_type());
sql(<<'SQL');
create table small (id bigint generated always as identity primary key, v text);
create table whole (id bigint generated always as identity primary key, a int, v text);
create table big (id bigint generated always as identity primary key, a int, v text, w noisy);
create table wide (id bigint generated always as identity primary key, a int, b int8, c numeric,
	d timestamptz, e text, f jsonb, g bool, h text, i uuid);
create table root (id bigint generated always as identity, k int, v text, primary key (id, k))
	partition by list (k);
create table leaf_0 partition of root for values in (0);
create table leaf_1 partition of root for values in (1);
create table shape (id bigint generated always as identity primary key, v text);
create table skipped (id bigint generated always as identity primary key, v text);
alter table whole replica identity full;
alter table small alter v set storage external;
alter table big alter v set storage external;

-- All magnitudes below the highest alike.
create function size(highest float8) returns int language sql volatile as
	$$ select floor(exp(random() * ln(highest)))::int $$;

create function text_of(highest float8) returns text language sql volatile as
	$$ select repeat(chr(97 + (random() * 25)::int), size(highest)) $$;

create function noise() returns noisy language sql volatile as
	$$ select case when random() < 0.3 then 'bad' else text_of(3000) end::noisy $$;
SQL
sql(<<'SQL');
create procedure commits(n int) language plpgsql as $$
begin
	for i in 1 .. n loop
		case (random() * 9)::int
			when 0 then update small set v = text_of(3000) where id = (select max(id) from small);
			when 1 then delete from small where id = (select max(id) from small);
			when 2 then insert into whole (a, v) values (i, text_of(3000));
			when 3 then insert into big (a, w) values (i, noise());
			when 4 then insert into skipped (v) values (text_of(100));
			when 5 then perform pg_logical_emit_message(random() < 0.5, 'm', text_of(100));
			else insert into small (v) values (text_of(30000));
		end case;
		if random() < 0.1 then rollback; else commit; end if;
	end loop;
end $$;

create procedure savepoints(n int) language plpgsql as $$
begin
	for i in 1 .. n loop
		begin
			insert into small (v) select text_of(1000) from generate_series(1, size(100));
			if random() < 0.3 then raise exception 'back'; end if;
		exception when raise_exception then null;
		end;
	end loop;
end $$;

create procedure reshape() language plpgsql as $$
declare
	c text := 'c' || (random() * 9)::int;
begin
	execute 'alter table shape add if not exists ' || c || ' int default 7';
	insert into shape (v) select text_of(1000) from generate_series(1, size(300));
	if random() < 0.5 then
		execute 'alter table shape drop ' || c;
		insert into shape (v) select text_of(1000) from generate_series(1, size(300));
	end if;
end $$;

create procedure one() language plpgsql as $$
declare
	r int := (random() * 19)::int;
begin
	case
		when r < 6 then call commits(size(1000));
		when r = 6 then insert into small (v) select text_of(1000) from generate_series(1, size(10000));
		when r = 7 then
			insert into wide (a, b, c, d, e, f, g, h, i)
				select j, j, random(), now(), case when j % 3 = 0 then text_of(300) end,
					'{"a": [1, 2]}', true, text_of(10), gen_random_uuid()
				from generate_series(1, size(30000)) j;
		when r = 8 then
			insert into small (v) values ('before');
			insert into big (v) values (text_of(20e6));
			insert into small (v) values ('after');
		when r = 9 then
			insert into big (v, w) select text_of(3e6), noise() from generate_series(1, size(10));
		when r = 10 then update big set a = a + 1, w = noise() where id % 10 = 0;
		when r = 11 then update whole set v = text_of(3000) where id % 7 = 0;
		when r = 12 then delete from whole where id % 11 = 0; delete from big where id % 11 = 0;
		when r = 13 then call savepoints(size(100));
		when r = 14 then call reshape();
		when r = 15 then
			perform pg_logical_emit_message(random() < 0.5, 'm', text_of(12e6))
				from generate_series(1, size(5));
		when r = 16 then insert into skipped (v) select text_of(300) from generate_series(1, size(30000));
		when r = 17 then
			insert into root (k, v) select j % 2, text_of(300) from generate_series(1, size(3000)) j;
			if random() < 0.3 then truncate leaf_1; end if;
		when r = 18 then truncate big, whole;
		else
			insert into small (v) select text_of(1000) from generate_series(1, size(10000));
			rollback;
	end case;
	commit;
end $$;

create procedure work(seed float8, n int) language plpgsql as $$
begin
	perform setseed(seed);
	for i in 1 .. n loop
		call one();
	end loop;
end $$;
select pg_create_logical_replication_slot('s', 'cdc_s3');
select pg_copy_logical_replication_slot('s', 'ref');
SQL

# ---- the two clients ----

my $with = "exclude 'public.skipped'";

# Without what the plugin does beside the server; a setting that this plugin does
# not know is left out.
my $settings = sql("load 'cdc_s3'; select string_agg('-c ' || name || '=0', ' ')"
	  . " from pg_settings where name in ('cdc_s3.read_ahead', 'cdc_s3.send_bytes')");

sub bad_client
{
	my ($round, $from, $folder) = @_;
	return spawn(
		cmd => wal_client_command(
			via => \@ways,
			slot => 's',
			with => $with,
			from => $from,
			end_file => "$folder/end",
			out => "$folder/out",
			seed => $seed + $round),
		log => "$folder/log");
}

sub good_client
{
	my ($from, $end, $folder) = @_;
	return wal_client(
		via => $ways[0],
		slot => 'ref',
		with => $with,
		options => $settings,
		from => $from,
		until => $end,
		out => "$folder/ref");
}

# ---- a round ----

my $batches = 12;
my $writers = 2;

# Writers beside each other, one batch after the other; a stop of the server ends
# those that run.  In half of the rounds there is one.
sub write_much
{
	my ($round, $folder) = @_;
	my ($begun, @running) = (0);
	my $stop_at = int rand 2 * $batches;
	poll(
		sub {
			@running = grep { $_->alive } @running;
			while (@running < $writers && $begun < $batches)
			{
				push @running, batch($round, $begun++, "$folder/written");
			}
			if ($begun > $stop_at)
			{
				$stop_at = $batches;
				stop_and_start();
			}
			return $begun == $batches && !@running;
		},
		600) or fail('the writers come to an end');
	return;
}

sub batch
{
	my ($round, $n, $log) = @_;
	my $random = (($seed + $round) * 1009 + $n * 7919) % 100_003 / 100_003;
	return spawn(
		cmd => [
			CdcS3::Cluster::program('psql'), '-X', '-q', '-d', $ways[0], '-c',
			"call work($random, 5)"
		],
		log => $log);
}

# A fast stop waits for the client to confirm all.
sub stop_and_start
{
	my $mode = rand() < 0.7 ? 'fast' : 'immediate';
	ok($source->stop($mode, 300), "the server stops ($mode)") or return;
	$source->start;
	return;
}

my $started = time;

sub round
{
	my ($round, $from) = @_;
	srand($seed + $round);
	my $folder = temp_folder();
	my $client = bad_client($round, $from, $folder);
	write_much($round, $folder);
	sql("insert into small (v) values ('the last one')");
	my $end = sql('select pg_current_wal_flush_lsn()');
	open my $f, '>', "$folder/new" or die "$folder/new: $!\n";
	print {$f} "$end\n";
	close $f or die "$folder/new: $!\n";
	rename "$folder/new", "$folder/end" or die "$folder/end: $!\n";
	is($client->wait(600), 0, "round $round: the client gets to the end, and all it gets is right")
	  or tell_end("$folder/log");
	note +(slurp("$folder/log") =~ /(.* streams, .*\n.*\n)/);
	my $r = good_client($from, $end, $folder);
	is($r->{code}, 0, 'so does one with the settings off') or diag $r->{err};
	$r = capture([ 'diff', '-q', "$folder/ref", "$folder/out" ]);
	is($r->{code}, 0, 'both get the same, frame for frame') or tell_difference($folder);
	unlink "$folder/ref", "$folder/out" if Test::More->builder->is_passing;
	return $end;
}

# The reason stands behind the counts in the client's log; what led to it, before.
sub tell_end
{
	my ($before, $why) = split /^wait \d+, stall \d+.*\n/m, slurp($_[0]);
	diag $why // 'the client says nothing';
	my @lines = split /\n/, $before;
	diag join "\n", @lines > 60 ? @lines[ -60 .. -1 ] : @lines;
	return;
}

sub tell_difference
{
	my ($folder) = @_;
	my $r = capture([ 'sh', '-c', 'diff "$0/ref" "$0/out" | head -n 20', $folder ]);
	diag $r->{out};
	return;
}

my $at = sql("select confirmed_flush_lsn from pg_replication_slots where slot_name = 's'");
my $rounds = 0;
while (time < $started + $seconds && Test::More->builder->is_passing)
{
	$at = round($rounds++, $at);
}

# ---- afterwards ----

ok($source->poll_until('postgres', <<'SQL', 60), 'no walsender is left');
select count(*) = 0 from pg_stat_activity where backend_type = 'walsender'
SQL
# A walsender that is at its end says FATAL where it would say ERROR, and one
# that is told to end while it begins calls that a timeout.
my $expected = qr/canceling\ statement\ due\ to\ user\ request
	|terminating\ connection\ due\ to\ administrator\ command
	|canceling\ authentication\ due\ to\ timeout
	|connection\ to\ client\ lost
	|the\ database\ system\ is/x;
my @bad = grep { /PANIC|TRAP|terminated by signal/ || (/FATAL/ && !/$expected/) }
  split /\n/, $source->log_text;
is(join("\n", @bad), '', "nothing else is in the server's log");

done_testing();

# What failed can be looked at, and tried again.
END
{
	if ($rounds && ($? || !Test::More->builder->is_passing))
	{
		$ENV{CDCS3_TEST_KEEP} = 1;
		diag "STRESS_SEED=$seed STRESS_SECONDS=$seconds prove -v -I test/lib $0";
		diag 'the last round alone: STRESS_SEED=' . ($seed + $rounds - 1) . ' STRESS_SECONDS=1';
	}
}
