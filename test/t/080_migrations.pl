#-------------------------------------------------------------------------
# Migrations as tools do them, while four sessions write: a copy that is filled
# by triggers and swapped in (as gh-ost does), a table that is rebuilt in place,
# columns that come, are filled, renamed and dropped (as Rails, Django and Flyway
# do).  Streamed all the while, merged again and again; whenever the writers
# pause, source and target are equal.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Proc qw(poll slurp spawn);
use CdcS3::Sidecar;
use CdcS3::Test;

my $db = 'shop';
my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$_->psql('postgres', "create database $db") for $source, $target;

$source->psql($db, <<'SQL');
create table orders (id int primary key, status text not null, amount numeric(10,2), note varchar(40));
create table items (order_id int references orders on delete cascade, no int, what text, primary key (order_id, no));
insert into orders select g, 'new', g * 1.25, 'n' || g from generate_series(1, 400) g;
insert into items select g, n, 'w' from generate_series(1, 400) g, generate_series(1, 2) n;
create procedure write(me int, times int) language plpgsql as $$
declare k int; v int;
begin
	for i in 1 .. times loop
		k := 1 + (random() * 500)::int;
		begin
			case (random() * 4)::int
				when 0 then insert into orders (id, status, amount) values (k, 'made', i) on conflict do nothing;
				when 1 then update orders set status = 's' || i, amount = amount + 1 where id = k;
				when 2 then update orders set id = 1000 + me * 10000 + i where id = k;
				when 3 then delete from orders where id = k;
				else insert into items select id, 10 + i, 'x' from orders where id between k and k + 3 on conflict do nothing;
			end case;
		exception when others then null; -- who lost against a migration
		end;
		commit;
	end loop;
end $$;
SQL

my $cdc = sidecar($source, $db, file_store(), target => $target, flags => ['--flush.interval=1s']);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;

sub merge
{
	my ($step) = @_;
	my $r = $cdc->call('merge', '--merge.until=now');
	my $waits = $target->psql($db, 'select count(*) from cdc_s3.resync where state <> $$left$$') > 0;
	is($r->{code}, $waits ? 8 : 0, "$step: merge") or diag "$r->{out}$r->{err}", $run->errors;
	return !$waits;
}

# What a rewrite made unknown is loaded by itself.
sub healed
{
	return poll(sub { $cdc->wait_durable && $cdc->call('merge', '--merge.until=now')->{code} == 0 }, 60);
}

# A step while four sessions write, merges in between, and both sides after it.
sub step
{
	my ($name, @sql) = @_;
	subtest $name => sub {
		my @writers = map {
			spawn(
				cmd => [ CdcS3::Cluster::program('psql'), '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $source->conninfo($db), '-c', "call write($_, 150)" ],
				out_path => temp_folder() . "/w$_.out",
				err_path => temp_folder() . "/w$_.err")
		} 1 .. 4;
		for my $sql (@sql)
		{
			my $r;
			for (1 .. 20)    # the writers may win a deadlock
			{
				$r = $source->try_psql($db, $sql);
				last unless $r->{code} && $r->{err} =~ /deadlock/;
			}
			is($r->{code}, 0, $sql) or diag $r->{err};
			merge('while they write');
		}
		is($_->wait, 0, 'a writer ends') or diag slurp($_->{err_path}) for @writers;
		ok($cdc->wait_durable, 'durable') or diag $run->errors;
		ok(merge('when they paused') || healed(), 'nothing waits');
		my @tables = split /\n/, $source->psql($db, q(select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname in ('public', 'app') order by 1));
		for my $t (@tables)
		{
			my $names = $source->psql($db, "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute where attrelid = '$t'::regclass and attnum > 0 and not attisdropped");
			my ($s, $d) = map { $_->try_psql($db, "select count(*) || ' ' || coalesce(md5(string_agg(x::text, ';' order by x::text collate \"C\")), '') from (select $names from $t) x") } $source, $target;
			is("$d->{out}$d->{err}", $s->{out}, "$t is equal");
		}
	};
	return;
}

step('nothing', 'select 1');

# As gh-ost and pt-online-schema-change: a copy, triggers, a backfill in pieces, a swap.
step('a ghost table', <<'SQL', 'insert into orders_gho (id, status, amount, note) select id, status, amount, note from orders where id <= 250 on conflict do nothing', 'insert into orders_gho (id, status, amount, note) select id, status, amount, note from orders where id > 250 on conflict do nothing');
create table orders_gho (id bigint primary key, status text not null, amount numeric(12,2), note text, source text default 'web');
create function ghost() returns trigger language plpgsql as $$
begin
	if tg_op <> 'INSERT' then delete from orders_gho where id = old.id; end if;
	if tg_op <> 'DELETE' then
		insert into orders_gho (id, status, amount, note) values (new.id, new.status, new.amount, new.note)
		on conflict (id) do update set status = excluded.status, amount = excluded.amount, note = excluded.note;
	end if;
	return null;
end $$;
create trigger ghost after insert or update or delete on orders for each row execute function ghost();
SQL
step('is swapped in', <<'SQL', 'drop table orders_del cascade');
begin;
lock table orders, items in access exclusive mode;
drop trigger ghost on orders;
delete from orders_gho g where not exists (select from orders o where o.id = g.id);
insert into orders_gho (id, status, amount, note) select id, status, amount, note from orders on conflict (id) do update set status = excluded.status, amount = excluded.amount, note = excluded.note;
alter table items drop constraint items_order_id_fkey;
alter table orders rename to orders_del;
alter table orders_gho rename to orders;
alter table items alter order_id type bigint;
commit;
SQL
is($target->psql($db, q(select format_type(atttypid, -1) from pg_attribute where attrelid = 'orders'::regclass and attname = 'id')), 'bigint', 'the target has the new columns');

# In place, as VACUUM FULL, CLUSTER and pg_repack leave it.
step('rebuilt in place', 'vacuum full orders', 'cluster items using items_pkey', 'truncate items');

# As Rails, Django and Flyway.
step('a column with a default', q(alter table orders add column currency text not null default 'EUR'));
step('a column that is filled', 'alter table orders add column total numeric', 'update orders set total = amount where id % 2 = 0', 'update orders set total = coalesce(amount, 0) where total is null', 'create index concurrently on orders (total)');
step('renamed', 'alter table orders rename amount to net; alter table orders rename total to amount');
step('a check that becomes NOT NULL', q(alter table orders add constraint c check (currency is not null) not valid), 'alter table orders validate constraint c', 'alter table orders alter currency set not null', 'alter table orders drop constraint c');
step('a wider type', 'alter table orders alter note type text', 'alter table orders alter currency drop not null');
step('dropped, and another of that name', 'alter table orders drop column note', 'alter table orders add column note jsonb');
step('moved to a schema', 'create schema app', 'alter table items set schema app; alter role postgres in database shop set search_path = public, app');
step('a table that is split off', 'create table notes (order_id bigint primary key, body text); insert into notes select id, status from orders on conflict do nothing', 'alter table orders drop column currency');

$run->signal('TERM');
is($run->wait, 0, 'run ends') or diag $run->errors;
done_testing;
