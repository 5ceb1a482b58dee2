#-------------------------------------------------------------------------
# verify of further outputs, by what the log lists of them; and of hours, by
# the template that the log says was in force and not by that of today.
#-------------------------------------------------------------------------
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use JSON::PP;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $json = JSON::PP->new->utf8;

sub spill
{
	my ($path, $bytes) = @_;
	make_path(dirname($path));
	open my $f, '>:raw', $path or die "$path: $!";
	print {$f} $bytes;
	close $f or die $!;
	return;
}

# Three entries; output "copy" is attached from entry 2 on.
sub lake
{
	my $folder = temp_folder() . '/lake';
	my $lake = CdcS3::Lake->new(folder => $folder);
	my $t = $lake->table('public.t', columns => [ [ id => 'int4', 'pk' ] ], key => ['id']);
	for my $n (1 .. 3)
	{
		$lake->entry(end => 0x1000 * ($n + 1),
			rows => [ map { [ $t, i => 0x1000 * $n + 0x100, $_, { id => $_ } ] } 1 .. 5 ]);
	}
	$lake->{copy} = temp_folder() . '/copy';
	for my $n (1 .. 3)
	{
		CdcS3::Lake::relog($lake, $n, sub {
			my ($e) = @_;
			my $url = $n > 1 ? "file://$lake->{copy}" : 'file:///elsewhere';
			$e->{outputs} = [ {
				name => 'copy', url => $url, tables => '', exclude => '', state => 'attached',
				since_entry => $n > 1 ? 2 : 1, first_lsn => '0000000000002000',
				filled => JSON::PP::false, swept_until => undef } ];
			$e->{output_objects} = [ map { { %$_, output => 'copy' } } @{ $e->{objects} } ];
			return if $n == 1;
			for my $o (@{ $e->{objects} })
			{
				make_path(dirname("$lake->{copy}/$o->{key}"));
				copy("$folder/$o->{key}", "$lake->{copy}/$o->{key}") or die $!;
			}
		});
	}
	return $lake;
}

sub verify
{
	my ($lake, @args) = @_;
	my $r = run_cdc('verify', "--store.url=file://$lake->{folder}", '--json', @args);
	my @lines = map { $json->decode($_) } grep { /^\{/ } split /\n/, $r->{out};
	$r->{sum} = pop @lines if @lines && $lines[-1]{verified};
	$r->{found} = \@lines;
	return $r;
}

sub of { my ($lake) = @_; return ("--output.copy.url=file://$lake->{copy}", '--output.copy.format=json') }
sub object { my ($lake, $n) = @_; return (glob "$lake->{copy}/public/t/*/*/*/*/part-*000$n-*")[0] }

sub finds
{
	my ($lake, $kind, $like, $name, @args) = @_;
	my $r = verify($lake, of($lake), @args);
	is($r->{code}, 3, "$name: exit code") or diag $r->{out}, $r->{err};
	my ($f) = grep { $_->{finding} eq $kind } @{ $r->{found} };
	ok($f, "$name: found") or diag $r->{out}, $r->{err};
	is($f->{output}, 'copy', "$name: in which output");
	like(($f->{object} // '') . ' ' . ($f->{what} // ''), $like, "$name: named");
	is(scalar @{ $r->{found} }, 1, "$name: and nothing else") or diag $r->{out};
	return;
}

my $l = lake();
my $r = verify($l, of($l));
is($r->{code}, 0, 'a good output: exit code') or diag $r->{out}, $r->{err};
is_deeply([ @{ $r->{sum} }{qw(entries objects objects_read rows)} ], [ 4, 5, 5, 25 ],
	'objects of both count, and only those since it is attached');
is(verify($l, of($l), '--sizes')->{code}, 0, 'sizes alone');
$r = verify($l);
is($r->{code}, 0, 'without its settings: exit code') or diag $r->{out}, $r->{err};
is($r->{sum}{objects}, 3, 'it is left out');
like($r->{err}, qr/an output is not verified.*output=copy/, 'and that is told');

my $path = object($l, 3);
my $body = slurp($path);
unlink $path or die $!;
finds($l, 'missing', qr/part-000000000003/, 'an object that is gone');
finds($l, 'missing', qr/part-000000000003/, 'the same by the listing', '--sizes');
spill($path, substr $body, 0, -2);
finds($l, 'damaged', qr/part-000000000003.*bytes/, 'an object that was cut');
spill($path, ($body =~ s/"id":3/"id":4/r));
finds($l, 'damaged', qr/part-000000000003.*CRC/, 'one digit is another one');
spill($path, $body);
CdcS3::Lake::relog($l, 3, sub { $_[0]{output_objects}[0]{rows} = 6 });
finds($l, 'rows', qr/has 5 rows, the log says 6/, 'rows that are not as many');

$l = lake();
my $left = object($l, 2) =~ s/-0000-/-0007-/r;
spill($left, 'x');
spill(object($l, 2) =~ s/part-000000000002/part-000000000009/r, 'x');
$r = verify($l, of($l));
is($r->{code}, 8, 'leftovers: exit code') or diag $r->{out}, $r->{err};
is_deeply([ $r->{found}[0]{output}, $r->{sum}{findings}{leftover}, $r->{sum}{in_flight} ], [ 'copy', 1, 1 ],
	'a leftover, and what is on its way');
$r = verify($l, of($l), '--repair');
is($r->{code}, 0, 'repair: exit code') or diag $r->{out}, $r->{err};
ok(!-e $left, 'repair: it is gone');

# What fills an output is older than the entry that lists it.
$l = lake();
my $from = slurp((glob "$l->{folder}/public/t/*/*/*/*/part-*0001-*")[0]);
my $key = 'public/t/year=2026/month=11/day=21/hour=08/fill-0a0b0c0d-0000-9f3a1c07.json';
spill("$l->{copy}/$key", $from);
CdcS3::Lake::relog($l, 3, sub {
	my ($e) = @_;
	push @{ $e->{output_objects} }, { %{ $e->{output_objects}[0] }, key => $key, bytes => length $from,
		first_lsn => '0000000000001100', last_lsn => '0000000000001100',
		crc32c => CdcS3::Lake::crc32c($from) };
});
$r = verify($l, of($l));
is($r->{code}, 0, 'what fills it: exit code') or diag $r->{out}, $r->{err};
is($r->{sum}{rows}, 30, 'what fills it: rows');

# Hours: by the layout of the entry, whatever output.path is now.
my $layout = { format => 'json', compression => 'none', timezone => 'UTC', partitions => [],
	path => '{schema}/{table}/year={yyyy}/month={mm}/day={dd}/hour={hh}' };
sub late
{
	my (@layouts) = @_;
	my $lake = lake();
	for my $n (1 .. 3)
	{
		CdcS3::Lake::relog($lake, $n, sub {
			my ($e) = @_;
			delete @$e{qw(outputs output_objects)};
			$e->{layouts} = \@layouts;
			$e->{time} = '2026-11-21T10:00:00.000000Z';
			$e->{closed_until} = '2026-11-21T09:00:00Z' if $n > 1;
		});
	}
	return $lake;
}
$l = late($layout);
for my $now ('--output.path={schema}/{table}/d={yyyy}{mm}{dd}', '--output.timezone=+05:00')
{
	$r = verify($l, $now);
	is($r->{code}, 3, "$now: a row in an hour that was closed") or diag $r->{out}, $r->{err};
	is_deeply([ map { "$_->{finding} $_->{entry}" } @{ $r->{found} } ], ['hour 3'], "$now: where");
}
$l = late({ %$layout, path => '{schema}/{table}/year={yyyy}/month={mm}/day={dd}' });
is(verify($l)->{code}, 0, 'one in no folder of the layout: it is of a later time');
$l = late({ %$layout, timezone => '-03:00', until => '2026-11-22T00:00:00Z' }, { %$layout, start => '2026-11-22T00:00:00Z' });
is(verify($l)->{code}, 3, 'a folder of the layout behind, which had rows already');

done_testing();
