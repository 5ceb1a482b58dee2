#-------------------------------------------------------------------------
# The status page in headless Chromium: two widths, light and dark, while the
# process loads, streams, lags, and its slot is in danger.
#
#	test/deploy/page.pl CHROMIUM
#
# Screenshots are kept where something fails, in build/deploy/; with
# CDCS3_TEST_KEEP=1 always.
#-------------------------------------------------------------------------
use strict;
use warnings;
use File::Copy qw(move);
use HTTP::Tiny;
use IPC::Open2 qw(open2);
use JSON::PP;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Test;

my ($chromium) = @ARGV;
die "usage: test/deploy/page.pl CHROMIUM\n" unless $chromium;
my $folder = temp_folder();
my $kept = top_folder() . '/build/deploy';
my $evil = '<img src=x onerror=alert(1)>';
my $long = 'a_table_whose_name_is_as_long_as_a_name_can_be_at_all_xxxxxxxxx';

my $source = new_cluster('source',
	conf => [ "max_slot_wal_keep_size = '200MB'", "max_wal_size = '64MB'", "min_wal_size = '32MB'" ])->start;
my $fake = CdcS3::FakeS3->start;
$source->psql('postgres', <<"SQL");
create table "$evil" (id integer primary key, v text);
create table $long (id integer primary key);
create table large (id integer primary key, v text);
insert into "$evil" select i, 'x' from generate_series(1, 100) i;
insert into large select i, repeat('x', 1000) from generate_series(1, 20000) i;
select pg_replication_origin_create('old');
SQL
my $cdc = sidecar($source, 'postgres', $fake->store,
	flags => [ '--flush.interval=1s', '--http.listen=127.0.0.1:0',
		"--output.archive.url=file://$folder/archive" ]);
$cdc->ok('init');
my ($run, $port);
sub start
{
	$run = $cdc->start(@_);
	poll(sub { ($port) = $run->errors =~ /event=listening .*port=(\d+)/ }, 120)
	  or BAIL_OUT($run->errors);
	return;
}

sub status
{
	my $r = HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port/status");
	return JSON::PP->new->utf8->decode($r->{content});
}

mkdir "$folder/profile" or die "$folder/profile: $!\n";
my $pid = open2(my $from, my $to, 'python3', top_folder() . '/test/deploy/page.py', $chromium, "$folder/profile");
at_end(sub { close $to; waitpid $pid, 0 });

sub shown
{
	my ($width, $scheme, $png) = @_;
	print {$to} "http://127.0.0.1:$port/ $width $scheme $png\n";
	$to->flush;
	my $line = <$from> // BAIL_OUT('the browser ended: ' . slurp("$folder/profile/stderr"));
	return JSON::PP->new->utf8->decode($line);
}

# In each form; tests of what is the state's own come as a function.
sub look
{
	my ($state, $tests) = @_;
	for my $width (1200, 400)
	{
		my %paper;
		for my $scheme (qw(light dark))
		{
			my $name = "$state, $width px, $scheme";
			my $png = "$folder/page.png";
			my $p = shown($width, $scheme, $png);
			my $good = subtest $name => sub {
				is($p->{width}, $width, 'the width');
				cmp_ok($p->{scroll}, '<=', $width, 'nothing to be scrolled sideways');
				is($p->{inner}, 0, 'nor in a part of it');
				is($p->{styled}, 1, 'it has its style');
				cmp_ok(abs($p->{paper} - $p->{ink}), '>', 120, 'text can be told from paper');
				cmp_ok($p->{paper}, $scheme eq 'light' ? '>' : '<', 128, 'the paper is as asked for');
				is((grep { /^(?:img|script|iframe)$/ } @{ $p->{elements} }), 0, 'no element from a name');
				is($p->{handlers}, 0, 'nor a handler');
				is_deeply($p->{outside}, [], 'nothing from outside');
				is((grep { $_ eq "public.$evil" } @{ $p->{names} }) > 0, 1, 'the name is shown as it is')
				  if $state ne 'loading';
				is($p->{wide} > 0, $width > 600, 'columns that are left out where there is no room');
				$tests->($p);
			};
			move($png, "$kept/page-" . ($name =~ s/\W+/-/gr) . '.png')
			  if !$good || $ENV{CDCS3_TEST_KEEP};
		}
	}
	return;
}

# Loading.
start('--load.max_rate=256kB');
ok(poll(sub { my ($l) = grep { ($_->{table} // '') eq 'large' } @{ status()->{loads} }; $l && $l->{rows} > 0 }, 120),
	'a table is read') or diag $run->errors;
look(loading => sub {
	my ($p) = @_;
	is($p->{state}, 'ready', 'ready');
	is((grep { $_ eq 'Loads' } @{ $p->{titles} }), 1, 'loads');
	cmp_ok($p->{progress}, '>=', 2, 'of a table, and of all');
	is((grep { $_ eq 'public.large' } @{ $p->{names} }) > 0, 1, 'by name');
});
is($run->stop('TERM', 60), 0, 'exit 0') or diag $run->errors;

# Streaming.
start();
ok(poll(sub { status()->{loads_open} == 0 }, 180), 'loaded') or diag $run->errors;
$source->psql('postgres', qq{insert into "$evil" select i, 'y' from generate_series(200, 300) i; insert into $long values (1)});
ok($cdc->wait_durable(120), 'durable') or diag $run->errors;
ok(poll(sub { my $s = status(); $s->{ready} && !@{ $s->{loads} } && grep { $_->{table} eq $long } @{ $s->{tables} } }, 120),
	'it streams');
ok(poll(sub { (status()->{slot}{wal_status} // '') eq 'reserved' }, 60), 'and knows its slot');
look(streaming => sub {
	my ($p) = @_;
	is($p->{state}, 'ready', 'ready');
	like($p->{state_class}, qr/good/, 'in the colour of it');
	is_deeply([ grep { $_ eq 'Loads' } @{ $p->{titles} } ], [], 'no loads');
	is((grep { $_ eq 'Outputs' } @{ $p->{titles} }), 1, 'its outputs');
	is((grep { $_ eq 'archive' } @{ $p->{names} }), 1, 'by name');
	like($p->{cards}{'Slot\'s WAL'}, qr/^good\|reserved$/, 'the slot is safe');
});

# Lagging: the store is away, and what waits is old.
$fake->fault(match => qr/^PUT /, status => 503, code => 'SlowDown', times => 0);
$source->psql('postgres', <<"SQL");
select pg_replication_origin_session_setup('old');
begin;
select pg_replication_origin_xact_setup('0/1', now() - interval '10 minutes');
insert into "$evil" values (1000, 'z');
commit;
SQL
ok(poll(sub { (status()->{reason} // '') eq 'behind' }, 120), 'it lags') or diag $run->errors;
look(lagging => sub {
	my ($p) = @_;
	is($p->{state}, 'not ready: behind', 'not ready');
	like($p->{state_class}, qr/bad/, 'in the colour of it');
	like($p->{cards}{Lag}, qr/^bad\|1\d:\d\d min$/, 'the lag');
	is((grep { $_ eq 'Last warnings and errors' } @{ $p->{titles} }), 1, 'and why');
});

# In danger: the source writes on.
for my $n (1 .. 6)
{
	$source->psql('postgres',
		"select pg_logical_emit_message(false, 'x', repeat('x', 1000000)) from generate_series(1, 20)");
	$source->psql('postgres', 'select pg_switch_wal(); checkpoint');
}
ok(poll(sub {
	my $slot = status()->{slot};
	my $s = $slot->{seconds_until_lost};
	return defined $s && $s < 3600 && $slot->{wal_status} ne 'reserved';
}, 120), 'the slot is in danger')
  or diag explain(status()->{slot});
look('in danger' => sub {
	my ($p) = @_;
	is($p->{state}, 'not ready: behind', 'not ready');
	like($p->{cards}{'Slot\'s WAL'}, qr/^(?:warn|bad)\|(?:extended|unreserved|lost)$/, 'the slot');
	like($p->{cards}{'Time until it is lost'}, qr/^bad\|/, 'and how long it has');
});
$fake->clear;
ok(poll(sub { status()->{ready} }, 180), 'it goes on') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'exit 0') or diag $run->errors;

done_testing();
