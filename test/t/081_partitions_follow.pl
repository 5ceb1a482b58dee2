#-------------------------------------------------------------------------
# Schema changes of partitioned tables, streamed and merged: the target, where
# they are plain tables, is equal, or the table is loaded anew by itself.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Proc qw(poll slurp);
use CdcS3::Sidecar;
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;

for my $extension (0, 1)
{
	my $db = "p$extension";
	$_->psql('postgres', "create database $db") for $source, $target;
	if ($extension)
	{
		my $script = slurp(top_folder() . '/plugin/cdc_s3--1.0.sql');
		$script =~ s/^\\echo.*$//m;
		$source->psql($db, "create schema cdc_s3; $script");
	}
	$source->psql($db, <<'SQL');
create table sales (id int, at date, v text, primary key (id, at)) partition by range (at);
create table sales_1 partition of sales for values from ('2026-01-01') to ('2026-02-01');
create table sales_2 (at date not null, v text, id int not null, extra int);
alter table sales_2 drop column extra;
alter table sales attach partition sales_2 for values from ('2026-02-01') to ('2026-03-01');
insert into sales select g, '2026-01-01'::date + g % 50, 'v' || g from generate_series(1, 100) g;
SQL
	my $cdc = sidecar($source, $db, file_store(), target => $target, slot => $db, flags => ['--flush.interval=1s', '--load.daily_max=50']);
	$cdc->ok('init');
	my $run = $cdc->start;
	ok($cdc->wait_loaded, 'loaded') or diag $run->errors;

	my $sum = sub {
		my ($cluster, $t, $names) = @_;
		my $r = $cluster->try_psql($db, "select count(*) || ' ' || coalesce(md5(string_agg(x::text, ';' order by x::text collate \"C\")), '') from (select $names from $t) x");
		return "$r->{out}$r->{err}";
	};
	# want: the state right behind the step: 0 equal, 8 a load is asked for; undef: either
	my $step = sub {
		my ($want, $sql) = @_;
		subtest "$db: $sql" => sub {
			$source->psql($db, $sql);
			ok($cdc->wait_durable, 'durable') or diag $run->errors;
			my $r = $cdc->call('merge', '--merge.until=now');
			my $waits = $target->psql($db, 'select count(*) from cdc_s3.resync where state <> $$left$$') > 0;
			is($r->{code}, $waits ? 8 : 0, 'merged') or diag "$r->{out}$r->{err}", $run->errors;
			is($r->{code}, $want, 'as it should be') or diag "$r->{out}$r->{err}" if defined $want;
			ok(poll(sub { $cdc->wait_durable && $cdc->call('merge', '--merge.until=now')->{code} == 0 }, 60), 'it heals by itself') if $waits;
			for my $t (split /\n/, $source->psql($db, q(select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') and not c.relispartition and n.nspname in ('public', 'old') order by 1)))
			{
				my $names = $source->psql($db, "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute where attrelid = '$t'::regclass and attnum > 0 and not attisdropped");
				is($sum->($target, $t, $names), $sum->($source, $t, $names), "$t is equal");
			}
		};
	};
	$step->(0, q(insert into sales values (1000, '2026-01-05', 'x'), (1001, '2026-02-05', 'y'); update sales set v = 'u' where id < 10));
	$step->(0, q(create table sales_3 partition of sales for values from ('2026-03-01') to ('2026-04-01'); insert into sales values (1002, '2026-03-05', 'z')));
	$step->(0, q(alter table sales add column d int not null default 5));
	$step->(0, q(insert into sales values (1003, '2026-01-06', 'q', 6); update sales set d = 7 where id = 1001));
	$step->(0, q(alter table sales add column w text default 'it''s'; update sales set w = null where id = 1002));
	$step->(0, q(alter table sales rename column v to what; update sales set what = 'renamed' where id = 3));
	$step->(0, q(alter table sales_1 rename to sales_jan; insert into sales values (1004, '2026-01-07', 'r', 1)));
	$step->(0, q(create schema old; alter table sales_2 set schema old; insert into sales values (1005, '2026-02-07', 's', 1)));
	$step->(0, q(alter table sales rename to deals; insert into deals values (1006, '2026-03-07', 't', 1)));
	$step->(0, q(alter table deals drop column d; insert into deals values (1007, '2026-03-08', 'u')));
	$step->(0, q(update deals set at = at + 31 where id = 5; update deals set id = id + 5000 where id = 6));
	$step->(undef, q(alter table deals alter column what type varchar(100); insert into deals values (1008, '2026-01-09', 'v')));
	$step->(0, q(vacuum full sales_jan));
	$step->(0, q(create table deals_sub partition of deals for values from ('2026-04-01') to ('2026-05-01') partition by range (id); create table deals_sub_a partition of deals_sub for values from (0) to (1010); create table deals_sub_b partition of deals_sub default; insert into deals values (1009, '2026-04-09', 'a'), (1010, '2026-04-09', 'b')));
	$step->(0, q(alter table deals add column late int default 9; insert into deals values (1011, '2026-04-10', 'a')));
	$step->(undef, q(alter table deals detach partition sales_3; insert into sales_3 values (7000, '2026-03-09', 'own')));
	$step->(undef, q(insert into deals values (1012, '2026-01-10', 'w'); drop table sales_jan));
	$step->(undef, q(create table joins (like deals); insert into joins (id, at, what) values (8000, '2026-07-01', 'joined'); alter table deals attach partition joins for values from ('2026-07-01') to ('2026-08-01')));
	$step->(undef, q(update deals set what = 'after' where id = 8000; insert into deals (id, at, what) values (8001, '2026-07-02', 'more')));
	$step->(undef, q(drop table deals; create table deals (id int primary key, note text); insert into deals values (1, 'another')));

	$run->signal('TERM');
	is($run->wait, 0, 'run ends') or diag $run->errors;
	$source->psql('postgres', "select pg_drop_replication_slot('$db')");
}
done_testing;
