#-------------------------------------------------------------------------
# A row of several 100 MB goes through in parts: nobody holds it, memory stays
# within its limit, and every byte arrives.
#
# CDCS3_TEST_HUGE_MB=600 makes the bytea that large, and the text half of it.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use Digest::MD5;

use CdcS3::Test;

my $mb = $ENV{CDCS3_TEST_HUGE_MB} || 120;
my $wait = 60 + $mb;
my $source = new_cluster('source')->start;
$source->psql('postgres', <<'SQL');
create table huge (id int primary key, b bytea, t text, j json, n int);
alter table huge alter b set storage external, alter t set storage external, alter j set storage external;
SQL
my $cdc = sidecar($source, 'postgres', file_store(),
	flags => [ '--output.compression=none', '--memory.limit=32MB' ]);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'run is there') or diag $run->errors;

# Bytes of all kinds, characters of all lengths, and such as need an escape.
my $blocks = $mb * 1024 * 1024 / 256;
my $quarter = $blocks / 4; # what goes through hex is below 1 GB
$source->psql('postgres', <<"SQL");
begin;
insert into huge (id, n) values (1, 1);
insert into huge select 2, q || q || q || q,
	repeat(E'line "with" a \\\\ and \\n tab\\t \\u00e4\\u20ac\\U0001F600 ' || repeat('z', 89), $blocks),
	('[' || repeat('{"a":[1,2,null]},', 200000) || 'null]')::json, 2
from (select decode(repeat((select string_agg(lpad(to_hex(i), 2, '0'), '') from generate_series(0, 255) i), $quarter), 'hex') q) x;
insert into huge (id, n) values (3, 3);
update huge set n = 4 where id = 2;
delete from huge where id = 1;
commit;
SQL
ok($cdc->wait_durable($wait), 'the rows are durable') or diag $run->errors;
my $walsender = $source->psql('postgres', q(select active_pid from pg_replication_slots where slot_name = 'cdc_s3'));
my ($peak) = slurp("/proc/$walsender/status") =~ /^VmHWM:\s+(\d+) kB/m;
note "peak of the walsender: $peak kB";
memory_below($run, 64);
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

# The lines, read in pieces as anybody would have to.
sub unescape
{
	my ($s) = @_;
	my %c = (n => "\n", t => "\t", '"' => '"', '\\' => '\\');
	$$s =~ s/\\(["\\nt])/$c{$1}/g;
	return;
}

my @files = sort grep { m{^public/huge/} } $cdc->objects;
open my $f, '-|:raw', 'cat', map { "$cdc->{store}{folder}/$_" } @files or die $!;
my ($bytes, $text, $buf) = (Digest::MD5->new, Digest::MD5->new, '');
my ($length, $lines, $rest) = (0, 0, '');
my $state = '';
while (read $f, my $chunk, 1 << 20)
{
	$buf .= $chunk;
	my $again = 1;
	while ($again)
	{
		$again = 0;
		if ($state eq '' && $buf =~ s/^(.*?)"b":"\\\\x//s)
		{
			$rest .= $1;
			($state, $again) = ('b', 1);
		}
		elsif ($state eq 'b')
		{
			$again = $buf =~ s/^([0-9a-f]*)"// ? 1 : 0;
			my $hex = $again ? $1 : substr $buf, 0, length($buf) & ~1, '';
			$bytes->add(pack 'H*', $hex);
			$state = 'between' if $again;
		}
		elsif ($state eq 'between' && $buf =~ s/^,"t":"//)
		{
			($state, $again) = ('t', 1);
		}
		elsif ($state eq 't')
		{
			1 while $buf =~ /\G(?:[^"\\]+|\\["\\nt])/gc;
			my $part = substr $buf, 0, pos $buf // 0, '';
			$again = $buf =~ s/^"// ? 1 : 0;
			unescape(\$part);
			$length += length $part;
			$text->add($part);
			$state = 'end' if $again;
		}
	}
}
close $f;
$rest .= $buf;
is($bytes->hexdigest, $source->psql('postgres', 'select md5(b) from huge where id = 2'), 'every byte of the bytea');
is($text->hexdigest, $source->psql('postgres', 'select md5(t) from huge where id = 2'), "and of the text ($length bytes)");
my @lines = split /\n/, $rest;
is(scalar @lines, 5, 'five records');
is(join(' ', map { /^\{"_op":"(.)".*?"id":(\d)/ } @lines), 'i 1 i 2 i 3 u 2 d 1', 'in order');
ok($lines[1] =~ /,"j":\[(.*)null\],"n":2\}$/ && $1 eq '{"a":[1,2,null]},' x 200000, 'the rest of the row is whole');
like($lines[3], qr/"_unchanged":\["b","t","j"\]/, 'what an update did not touch is not sent');
my @objects = map { $cdc->entry_objects($_) } $cdc->entries;
is(join(' ', map { $_->{rows} } sort { $a->{key} cmp $b->{key} } grep { $_->{table} eq 'huge' } @objects),
	'2 3', 'the object ends behind the row that fills it');

# A merge, which takes a row as a whole: up to what one row of a COPY holds.
my $target = new_cluster('target')->start;
$target->psql('postgres', 'create database copy');
$cdc->{target} = $target;
$cdc->{target_db} = 'copy';
my $merge = $cdc->call('merge', '--merge.until=now');
if (3 * $mb < 1024)
{
	is($merge->{code}, 0, 'merge') or diag $merge->{err};
	my $sums = 'select id, n, md5(b), md5(t), md5(j::text) from huge order by id';
	is($target->psql('copy', $sums), $source->psql('postgres', $sums), 'target equals source');
}
else
{
	is($merge->{code}, 3, 'a merge refuses what is longer');
	like($merge->{err}, qr/line 2 of object .*is longer than 1024 MB.*doc\/merge\.md/, 'in one line');
}

done_testing;
