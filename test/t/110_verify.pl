#-------------------------------------------------------------------------
# verify: a lake made by hand is right, and each thing that can be wrong with
# one is found, named, and told by the exit code.
#-------------------------------------------------------------------------
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Path qw(make_path);
use JSON::PP;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $json = JSON::PP->new->utf8;
my $FOLDER = 'public/t/year=2026/month=11/day=21/hour=08';

# Four entries: changes of two tables that overlap, a load, an hour's end.
sub lake
{
	my (%o) = @_;
	my $folder = temp_folder() . '/lake';
	my $lake = CdcS3::Lake->new(folder => $folder, %{ $o{new} // {} });
	my %columns = (columns => [ [ id => 'int4', 'pk' ] ], key => ['id']);
	my $t = $lake->table('public.t', %columns);
	my $u = $lake->table('public.u', %columns);
	my $row = sub { my ($of, $lsn, $seq) = @_; return [ $of, i => $lsn, $seq, { id => $seq } ] };
	$lake->entry(end => 0x2000, rows => $o{first}
		? $o{first}->($row, $t, $u)
		: [ map { $row->($_ % 2 ? $t : $u, 0x1100 + int($_ / 10), $_) } 1 .. 40 ],
		%{ $o{entry} // {} });
	$lake->entry(loads => [ [ '00000000000000aa', $t, 'done', 0x1900 ] ],
		load => { '00000000000000aa' => [ map { [ $t, r => 0x1900, 2**40 + $_, { id => $_ } ] } 1 .. 9 ] });
	$lake->entry(end => 0x3000, rows => [ map { $row->($t, 0x2100, $_) } 1 .. 5 ],
		closed => '2026-11-21T08:00:00Z');
	$lake->entry(end => 0x4000);
	return $lake;
}

sub verify
{
	my ($lake, @args) = @_;
	my $r = run_cdc('verify', "--store.url=file://$lake->{folder}", @args);
	my @lines = map { $json->decode($_) } grep { /^\{/ } split /\n/, $r->{out};
	$r->{sum} = pop @lines if @lines && $lines[-1]{verified};
	$r->{found} = \@lines;
	return $r;
}

sub spill
{
	my ($path, $bytes) = @_;
	make_path(dirname($path));
	chmod 0644, $path;
	open my $f, '>:raw', $path or die "$path: $!";
	print {$f} $bytes;
	close $f or die $!;
	return;
}

sub object_of { my ($lake, $name) = @_; return (glob "$lake->{folder}/$FOLDER/$name")[0] }

# One thing is wrong: what is found, and where.
sub finds
{
	my ($lake, $kind, $like, $name, @args) = @_;
	my $r = verify($lake, '--json', @args);
	is($r->{code}, 3, "$name: exit code") or diag $r->{out}, $r->{err};
	my ($f) = grep { $_->{finding} eq $kind } @{ $r->{found} };
	ok($f, "$name: found") or diag $r->{out}, $r->{err};
	like(($f->{object} // '') . ' ' . ($f->{what} // ''), $like, "$name: named");
	return $r;
}

my $good = lake();
my $r = verify($good, '--json');
is($r->{code}, 0, 'a good lake: exit code') or diag $r->{out}, $r->{err};
is_deeply($r->{found}, [], 'a good lake: nothing is found');
is($r->{sum}{entries}, 5, 'entries');
is($r->{sum}{objects_read}, 4, 'objects');
is($r->{sum}{rows}, 54, 'rows');
$r = verify($good);
like($r->{out}, qr/^5 entries, 4 objects, of which 4 were read: 54 rows/, 'as text');
is(verify($good, '--sizes')->{code}, 0, 'sizes alone');
is(verify($good, '--jobs=1')->{code}, 0, 'one after the other');
is(verify($good, '--jobs=0')->{code}, 2, 'a wrong number of jobs');
is(run_cdc('verify', '--store.url=file://' . temp_folder())->{code}, 2, 'no log at all');

# Objects.
my $l = lake();
my $path = object_of($l, 'part-000000000003*');
my $body = slurp($path);
unlink $path or die $!;
finds($l, 'missing', qr/part-000000000003/, 'an object that is gone');
finds($l, 'missing', qr/part-000000000003/, 'the same by the listing', '--sizes');
spill($path, substr $body, 0, -2);
finds($l, 'damaged', qr/part-000000000003.*bytes/, 'an object that was cut');
finds($l, 'damaged', qr/part-000000000003.*bytes/, 'the same by the listing', '--sizes');
spill($path, ($body =~ s/"id":3/"id":4/r));
finds($l, 'damaged', qr/part-000000000003.*CRC/, 'one digit is another one');
is(verify($l, '--sizes')->{code}, 0, 'which sizes do not tell');

# What the log says of an object, and is not so: the sums are right.
for my $case (
	[ rows => 4, rows => qr/has 5 rows, the log says 4/ ],
	[ rows => 6, rows => qr/has 5 rows, the log says 6/ ],
	[ last_seq => 9, rows => qr/first or last row/ ],
	[ first_lsn => '0000000000002000', rows => qr/first or last row/ ])
{
	$l = lake();
	CdcS3::Lake::relog($l, 3, sub { $_[0]{objects}[0]{ $case->[0] } = $case->[1] });
	finds($l, $case->[2], $case->[3], "$case->[0] is wrong in the log");
}

# Positions.
$l = lake(first => sub { my ($row, $t) = @_; return [ map { $row->($t, 0x1100, $_) } 1, 2, 2, 3 ] });
finds($l, 'twice', qr/part-000000000001/, 'a place twice in an object');
$l = lake(first => sub {
	my ($row, $t, $u) = @_;
	return [ (map { $row->($t, 0x1100, $_) } 1, 3, 5), map { $row->($u, 0x1100, $_) } 2, 3, 6 ];
});
finds($l, 'twice', qr/LSN 0\/1100, ordinal 3/, 'a place in two objects');
$l = lake(first => sub { my ($row, $t) = @_; return [ map { $row->($t, 0x1100, $_) } 1, 3, 2 ] });
finds($l, 'rows', qr/not behind/, 'rows that are not in order');
$l = lake(first => sub { my ($row, $t) = @_; return [ $row->($t, 0x2100, 1) ] });
finds($l, 'rows', qr/not what its entry covers/, 'a row of another entry');

# The chain.
$l = lake();
unlink sprintf('%s/_cdc/log/%020d.json', $l->{folder}, 3) or die $!;
$r = finds($l, 'chain', qr/\S/, 'an entry is missing');
is($r->{found}[0]{entry}, 3, 'an entry is missing: which');
$l = lake();
my $file = sprintf '%s/_cdc/log/%020d.json', $l->{folder}, 1;
spill($file, (slurp($file) =~ s/0000000000002000/0000000000002001/r));
finds($l, 'chain', qr/checksum/, 'an entry is damaged');
$l = lake();
CdcS3::Lake::relog($l, 3, sub { $_[0]{prev_end_lsn} = '0000000000002008' });
finds($l, 'chain', qr{0/2008.*0/2000}, 'an entry does not follow');
$l = lake();
CdcS3::Lake::relog($l, 4, sub { $_[0]{source}{slot} = 'other' });
finds($l, 'chain', qr/another server/, 'an entry of another slot');

# Hours.
$l = lake();
CdcS3::Lake::relog($l, 4, sub { $_[0]{closed_until} = '2026-11-21T09:00:00Z' });
finds($l, 'hour', qr/not over/, 'an hour is closed before its end');
$l = lake();
CdcS3::Lake::relog($l, 4, sub { $_[0]{closed_until} = undef });
finds($l, 'hour', qr/open that were closed/, 'an hour is open again');
$l = lake();
for my $seq (1 .. 4)
{
	CdcS3::Lake::relog($l, $seq, sub { $_[0]{time} = '2026-11-21T10:00:00.000000Z';
			$_[0]{closed_until} = '2026-11-21T09:00:00Z' });
}
finds($l, 'hour', qr/complete before its entry/, 'rows came into an hour that was closed');

# What lies about.
$l = lake();
spill("$l->{folder}/$FOLDER/part-000000000003-0007-0a0b0c0d.json", 'x');
spill("$l->{folder}/$FOLDER/part-000000000009-0000-0a0b0c0d.json", 'x');
spill("$l->{folder}/$FOLDER/load-00000000000000aa-0007-0a0b0c0d.json", 'x');
spill("$l->{folder}/$FOLDER/load-00000000000000bb-0000-0a0b0c0d.json", 'x');
spill("$l->{folder}/_cdc/list/00000000000000000003-0-0a0b0c0d.json", 'x');
spill("$l->{folder}/$FOLDER/mine.txt", 'x');
$r = verify($l, '--json');
is($r->{code}, 8, 'leftovers: exit code') or diag $r->{out}, $r->{err};
is_deeply([ $r->{sum}{findings}{leftover}, $r->{sum}{in_flight}, $r->{sum}{findings}{unknown} ], [ 3, 2, 1 ],
	'leftovers, what is on its way, and what is not ours');
$r = verify($l, '--json', '--repair');
is($r->{code}, 0, 'repair: exit code') or diag $r->{out}, $r->{err};
is($r->{sum}{removed}, 3, 'repair: removed');
ok(!-e "$l->{folder}/$FOLDER/part-000000000003-0007-0a0b0c0d.json", 'repair: it is gone');
ok(-e "$l->{folder}/$FOLDER/part-000000000009-0000-0a0b0c0d.json", 'repair: what is on its way stays');
ok(-e "$l->{folder}/$FOLDER/mine.txt", 'repair: what is not ours stays');
$r = verify($l, '--json');
is($r->{code}, 0, 'after the repair') or diag $r->{out};

# What expired is told apart from what is missing.
$l = lake();
CdcS3::Lake::relog($l, 4, sub { $_[0]{expired_entry} = 1; $_[0]{removed_entry} = 0 });
unlink glob "$l->{folder}/public/*/*/*/*/*/part-000000000001*";
$r = verify($l, '--json');
is($r->{code}, 0, 'expired: exit code') or diag $r->{out}, $r->{err};
is($r->{sum}{expired}, 2, 'expired: counted');
unlink object_of($l, 'part-000000000003*') or die $!;
finds($l, 'missing', qr/part-000000000003/, 'what is missing behind it');

# It goes on where it was, and never past a fault.
$l = lake();
my $state = temp_folder() . '/state';
my @state = ('--json', "--state=$state");
is(verify($l, @state)->{sum}{objects_read}, 4, 'state: all, the first time');
$r = verify($l, @state);
is($r->{sum}{objects_read}, 0, 'state: nothing, the next time');
is($r->{sum}{objects}, 4, 'state: the chain is read all the same');
$l->entry(end => 0x5000, rows => []);
my $late = $l->table('public.v', columns => [ [ id => 'int4', 'pk' ] ], key => ['id']);
$l->entry(end => 0x6000, rows => [ [ $late, i => 0x5100, 1, { id => 1 } ] ]);
is(verify($l, @state)->{sum}{objects_read}, 1, 'state: what is new');
unlink object_of($l, 'part-000000000003*') or die $!;
finds($l, 'missing', qr/part-000000000003/, 'state: what was there and is gone', "--state=$state");
is(verify(lake(new => { start => 0x1001 }), @state)->{code}, 2, 'state: of another lake');
spill($state, 'nothing');
is(verify($l, @state)->{code}, 2, 'state: damaged');
unlink $state;
$l = lake();
$path = object_of($l, 'part-000000000003*');
$body = slurp($path);
unlink $path or die $!;
finds($l, 'missing', qr/part-000000000003/, 'state: a fault', "--state=$state");
finds($l, 'missing', qr/part-000000000003/, 'state: and the same again', "--state=$state");
spill($path, $body);
is(verify($l, @state)->{sum}{objects_read}, 1, 'state: it is read once it is there again');

# A signed log without the key, and with it.
$l = lake(new => { key => 'a-key-of-the-log-that-is-long' });
is(verify($l, '--json')->{code}, 0, 'a signed log, without a key');
$ENV{CDC_S3_LOG_KEY} = 'a-key-of-the-log-that-is-long';
is(verify($l, '--json')->{code}, 0, 'a signed log, with its key');
$ENV{CDC_S3_LOG_KEY} = 'another-key-that-is-long-enough';
finds($l, 'chain', qr/HMAC/, 'a signed log, with another key');

done_testing();
