#-------------------------------------------------------------------------
# Merge against a model: random changes of random tables, written as a lake
# cut into random entries, merged in random groups of entries by roles with
# and without rights, into tables made in several ways.
#
# CDCS3_TEST_SEED=n repeats one round (with PERL_HASH_SEED=0 just as it was),
# CDCS3_TEST_ROUNDS=n makes n of them,
# CDCS3_TEST_WAY sets merge.way for all.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Storable qw(dclone);
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $target = new_cluster('target')->start;
$target->psql('postgres', 'create role merger login');

my @texts = (
	[ 'null', '\N' ],
	[ '""', '' ],
	[ '"plain"', 'plain' ],
	[ '"tab\tquote\"back\\\\slash"', "tab\\tquote\"back\\\\slash" ],
	[ '"\u00e9\ud83d\ude00\n{1,2}"', "\xc3\xa9\xf0\x9f\x98\x80\\n{1,2}" ],
	[ '"' . 'long ' x 600 . '"', 'long ' x 600 ],
	[ '"NULL"', 'NULL' ]);
my @jsons = (
	[ 'null', '\N' ],
	[ '{"a": [1, 2.50, null]}', '{"a": [1, 2.50, null]}' ],
	[ '"text \"x\""', '"text \\\\"x\\\\""' ],
	[ 'true', 'true' ],
	[ '12345678901234567890.10', '12345678901234567890.10' ]);
my @numbers = ([ '1.0', '1.0' ], [ '-0.50', '-0.50' ], [ '"NaN"', 'NaN' ],
	[ 'null', '\N' ], [ '123456789012345678901234567890.5',
		'123456789012345678901234567890.5' ]);

sub one { return $_[ rand @_ ] }
sub num { return [ $_[0], $_[0] ] }

# One round: its own database, lake and model.
my ($lake, %t, %rows, $lsn, $seq, $txn, @events, $long_u);

sub event
{
	my ($t, $op, $cols, %meta) = @_;
	$seq += 1 + int rand 3;
	push @events,
	  [
		$t{$t}, $op, $lsn, $seq, { map { $_ => $cols->{$_}[0] } keys %$cols },
		\%meta
	  ];
	return;
}

sub quoted { return '[' . join(',', map { "\"$_\"" } @_) . ']' }
sub object { my ($r, @c) = @_; return '{' . join(',', map { "\"$_\":$r->{$_}[0]" } @c) . '}' }

# keyed tables: key is the row's place in the model
my %key = (keyed => ['id'], pair => [ 'g', 's' ], loaded => ['id']);

sub place { my ($t, $r) = @_; return join "\0", map { $r->{$_}[1] } @{ $key{$t} } }

sub free_row
{
	my ($t) = @_;
	for (1 .. 50)
	{
		my $r = $t eq 'pair'
		  ? { g => num(int rand 6), s => one(@texts[ 1 .. 4 ]) }
		  : { id => num(1 + int rand 25) };
		return $r unless $rows{$t}{ place($t, $r) };
	}
	return;
}

sub fresh_u
{
	my ($t) = @_;
	my %used = map { $_->{u}[1] => 1 } values %{ $rows{$t} };
	my @free = grep { !$used{$_} } 1 .. 40;
	return rand() < 0.2 ? [ 'null', '\N' ] : num(one(@free));
}

sub fill
{
	my ($t, $r) = @_;
	$r->{big} = one(@texts);
	$r->{j} = one(@jsons);
	$r->{n} = one(@numbers);
	$r->{u} = fresh_u($t) if $t ne 'pair';
	return $r;
}

sub insert
{
	my ($t) = @_;
	my $r = free_row($t) or return;
	$rows{$t}{ place($t, $r) } = fill($t, $r);
	event($t, 'i', $r);
	return;
}

# An update that may leave big or j unchanged and may move the row.
sub update
{
	my ($t, $place, %o) = @_;
	my $old = $rows{$t}{$place};
	my $r = fill($t, {%$old});
	my %meta;
	my @unchanged = grep { rand() < 0.4 } qw(big j);
	$r->{u} = $old->{u} if $t ne 'pair' && rand() < 0.7;
	$r->{u} = $o{u} if $o{u};
	if ($o{to})
	{
		$r->{$_} = $o{to}{$_} for @{ $key{$t} };
		$meta{_key} = object($old, @{ $key{$t} });
	}
	$r->{$_} = $old->{$_} for @unchanged;
	$meta{_unchanged} = quoted(@unchanged) if @unchanged;
	delete $rows{$t}{$place};
	$rows{$t}{ place($t, $r) } = $r;
	my %sent = %$r;
	delete @sent{@unchanged};
	event($t, 'u', \%sent, %meta);
	return;
}

sub remove
{
	my ($t, $place) = @_;
	my $r = delete $rows{$t}{$place};
	event($t, 'd', { map { $_ => $r->{$_} } @{ $key{$t} } });
	return;
}

sub keyed_change
{
	my ($t) = @_;
	my @places = sort keys %{ $rows{$t} };
	my $what = rand;
	return insert($t) if !@places || $what < 0.3;
	my $p = one(@places);
	if ($what < 0.55) { update($t, $p) }
	elsif ($what < 0.70)
	{
		my $to = free_row($t) or return;
		update($t, $p, to => $to);
	}
	elsif ($what < 0.80) { remove($t, $p) }
	elsif ($what < 0.85)
	{
		# gone and back under the same key
		my $r = $rows{$t}{$p};
		remove($t, $p);
		my $new = fill($t, { map { $_ => $r->{$_} } @{ $key{$t} } });
		$rows{$t}{$p} = $new;
		event($t, 'i', $new);
	}
	elsif ($what < 0.90 && @places > 1 && $t ne 'pair')
	{
		# two rows swap their keys over a third one
		my ($a, $b) = @places[ 0, 1 ];
		update($t, $a, to => { id => num(999) });
		update($t, $b, to => { id => num($a) });
		update($t, 999, to => { id => num($b) });
	}
	elsif ($what < 0.96 && @places > 1 && $t ne 'pair')
	{
		# and their unique values
		my ($a, $b) = @places[ -1, 0 ];
		my ($ua, $ub) = map { $rows{$t}{$_}{u} } $a, $b;
		update($t, $a, u => [ 'null', '\N' ]);
		update($t, $b, u => $ua);
		update($t, $a, u => $ub);
	}
	elsif ($what > 0.98)
	{
		$rows{$t} = {};
		event($t, 't', {});
	}
	return;
}

sub bag_row { return { a => num(int rand 3), b => one(@texts[ 0 .. 3 ]), j => one(@jsons) } }

sub bag_change
{
	my $bag = $rows{bag};
	my $what = rand;
	if (!@$bag || $what < 0.5)
	{
		my $r = bag_row();
		push @$bag, $r;
		event('bag', 'i', $r);
	}
	elsif ($what < 0.7)
	{
		my $i = int rand @$bag;
		my $old = $bag->[$i];
		my $new = { %{ bag_row() } };
		my %meta = (_before => object($old, qw(a b j)));
		my %sent;
		if (rand() < 0.3)
		{
			$new->{b} = $old->{b};
			$meta{_unchanged} = quoted('b');
		}
		%sent = %$new;
		delete $sent{b} if $meta{_unchanged};
		$bag->[$i] = $new;
		event('bag', 'u', \%sent, %meta);
	}
	elsif ($what < 0.98)
	{
		my ($r) = splice @$bag, int rand @$bag, 1;
		event('bag', 'd', $r);
	}
	else
	{
		@$bag = ();
		event('bag', 't', {});
	}
	return;
}

my %columns = (
	keyed => [qw(id big n u j)],
	loaded => [qw(id big n u j)],
	pair => [qw(g s big n j)],
	bag => [qw(a b j)]);

sub expected
{
	my ($t, $rows) = @_;
	my @r = ref $rows eq 'ARRAY' ? @$rows : values %$rows;
	return join "\n",
	  sort map { my $r = $_; join "\t", map { $r->{$_}[1] } @{ $columns{$t} } } @r;
}

sub found
{
	my ($db, $t) = @_;
	return ''
	  if $target->psql($db, "select to_regclass('public.$t') is null") eq 't';
	my $cols = join ', ', @{ $columns{$t} };
	return join "\n", sort split /\n/,
	  $target->psql($db, "copy (select $cols from $t) to stdout");
}

# How the target's tables came to be.
my %made = (
	created => '',
	unique => 'create table keyed (id int4 primary key, big text, n numeric,'
	  . ' u int4 unique, j jsonb);',
	deferrable => 'create table keyed (id int4 primary key deferrable, big text,'
	  . ' n numeric, u int4, j jsonb);'
	  . 'create table pair (g numeric, s text, big text, n numeric, j jsonb);',
	other_order => 'create table keyed (extra int default 5, j jsonb, u int4 unique,'
	  . ' n numeric, id int4 generated always as identity primary key, big text);'
	  . 'create table bag (j json, b text, a int4);',
	partitioned => 'create table keyed (id int4 primary key, big text, n numeric,'
	  . ' u int4, j jsonb) partition by range (id);'
	  . 'create table keyed_1 partition of keyed for values from (minvalue) to (12);'
	  . 'create table keyed_2 partition of keyed default;'
	  . 'create table bag (a int4, b text, j json) partition by list (a);'
	  . 'create table bag_1 partition of bag for values in (1);'
	  . 'create table bag_2 partition of bag default;');

sub make_tables
{
	my @keyed = ([ id => 'int4', 'pk' ], [ big => 'text' ], [ n => 'numeric' ],
		[ u => 'int4' ], [ j => 'jsonb' ]);
	%t = (
		keyed => $lake->table('public.keyed', key => ['id'], columns => \@keyed),
		loaded => $lake->table('public.loaded', key => ['id'], columns => \@keyed),
		pair => $lake->table(
			'public.pair',
			key => [ 'g', 's' ],
			columns => [
				[ g => 'numeric', 'pk' ], [ s => 'text', 'pk' ], [ big => 'text' ],
				[ n => 'numeric' ], [ j => 'jsonb' ]
			]),
		bag => $lake->table(
			'public.bag',
			identity => 'f',
			columns => [ [ a => 'int4' ], [ b => 'text' ], [ j => 'json' ] ]));
	return;
}

# The load of table "loaded": none, open, snap (its snapshot is taken).
my ($load, %snap, $load_n, $ever, $since);

sub load_step
{
	my ($entry) = @_;
	my (@loads, %rows_of);
	my $what = rand;
	if ($load eq 'none' && $what < 0.3)
	{
		$load_n++;
		@loads = [ "load$load_n", $t{loaded}, 'open' ];
		$since = $entry;
		$load = 'open';
	}
	elsif ($load eq 'snap' && $what < 0.5)
	{
		my $id = "load$load_n";
		my $n = 2**40;
		@loads = [ $id, $t{loaded}, 'done', $snap{lsn} ];
		$rows_of{$id} = [
			map {
				my $r = $_;
				[ $t{loaded}, 'r', $snap{lsn}, $n++,
					{ map { $_ => $r->{$_}[0] } keys %$r } ]
			} values %{ $snap{rows} } ];
		$load = 'none';
		undef $since;
		$ever = 1;
	}
	elsif ($load ne 'none' && $what > 0.85)
	{
		@loads = [ "load$load_n", $t{loaded}, 'given_up' ];
		if (!$ever && rand() < 0.2)
		{
			# it was dropped; what comes now is another one of that name
			$rows{loaded} = {};
			$load = 'none';
			undef $since;
			$ever = 1;
		}
		elsif (!$ever || rand() < 0.5)
		{
			$load_n++;
			push @loads, [ "load$load_n", $t{loaded}, 'open' ];
			$load = 'open';
		}
		else
		{
			$load = 'none';
			undef $since;
		}
	}
	return (\@loads, \%rows_of);
}

# Entries, and of each entry's end what the target must show.
sub make_lake
{
	my ($nentries) = @_;
	my @ends;
	$load = 'open';
	$load_n = 1;
	$ever = 0;
	$since = 1;
	my $first = 1;
	%rows = (keyed => {}, pair => {}, loaded => {}, bag => []);
	@events = ();
	$lsn = 0x5000;
	insert('loaded') for 1 .. 8; # before there was any slot
	@events = ();
	my $applied = dclone({ %rows, loaded => {} });
	push @ends, [ $lake->{end}, $applied ];
	for my $e (1 .. $nentries)
	{
		@events = ();
		my $last = $lsn;
		for (1 .. int rand 6)
		{
			$lsn += 1 + int rand 300;
			$seq = 0;
			for (1 .. 1 + int rand 8)
			{
				my $t = one(qw(keyed keyed pair loaded loaded bag));
				$t eq 'bag' ? bag_change() : keyed_change($t);
			}
			if ($load eq 'open' && $e > 1 && rand() < 0.2)
			{
				%snap = (lsn => $lsn, rows => dclone($rows{loaded}));
				$load = 'snap';
			}
		}
		$lsn += 10;
		my ($loads, $loaded) = ([ [ 'load1', $t{loaded}, 'open' ] ], {});
		($loads, $loaded) = load_step($e) if $e > 1;
		$lake->entry(
			end => $lsn,
			rows => [@events],
			parts => 1 + int rand 3,
			loads => $loads,
			load => $loaded);
		my %now = %{ dclone(\%rows) };
		$now{loaded} = $since > 1 && $ever ? $ends[ $since - 1 ][2] : {}
		  if $since;
		push @ends, [ $lsn, \%now, dclone($rows{loaded}) ];
	}
	return @ends;
}

sub round
{
	my ($seed) = @_;
	srand $seed;
	my $made = one(sort keys %made);
	my $db = "round_$seed";
	my $role = one('postgres', 'merger');
	$target->psql('postgres', "create database $db");
	$target->psql($db, "grant all on schema public to merger;"
		  . "alter schema public owner to merger; grant all on database $db to merger");
	$target->psql($db, $made{$made}, user => $role) if $made{$made};
	my $way = $ENV{CDCS3_TEST_WAY} // one(qw(auto exact fast));
	my $folder = temp_folder() . "/lake_$seed";
	$lake = CdcS3::Lake->new(folder => $folder);
	make_tables();
	my @ends = make_lake(20);
	my $at = 0;
	my @steps;
	while ($at < $#ends)
	{
		$at += 1 + int rand 6;
		$at = $#ends if $at > $#ends;
		push @steps, $at;
		my $r = run_cdc(
			'merge', "--store.url=file://$folder", "--merge.way=$way",
			'--target.conninfo=' . $target->conninfo($db, user => $role),
			'--until=' . CdcS3::Lake::lsn($ends[$at][0]));
		my $name = "seed $seed ($made, $role, $way): entries @steps";
		if ($r->{code})
		{
			fail($name);
			diag "exit $r->{code}: $r->{err}";
			return;
		}
		for my $t (sort keys %columns)
		{
			my ($want, $have) = (expected($t, $ends[$at][1]{$t}), found($db, $t));
			next if $want eq $have;
			fail("$name: $t");
			diag "expected:\n$want\nfound:\n$have\n$r->{out}$r->{err}";
			return;
		}
	}
	pass("seed $seed ($made, $role, $way): entries @steps");
	$target->psql('postgres', "drop database $db");
	return;
}

if (defined $ENV{CDCS3_TEST_SEED})
{
	round($ENV{CDCS3_TEST_SEED} + $_) for 0 .. ($ENV{CDCS3_TEST_ROUNDS} // 1) - 1;
}
else
{
	my $first = time % 1_000_000;
	round($first + $_) for 1 .. $ENV{CDCS3_TEST_ROUNDS} // 12;
}
done_testing;
