#-------------------------------------------------------------------------
# A format is one file, a row in formats.c and a word in config.c
# (doc/architecture.md, "Formats"): a copy of the sources gets test/toy/toy.c in
# that way, is built, and streams, replays and merges with it.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Proc qw(capture temp_folder slurp);
use CdcS3::Test;

my $copy = temp_folder();
my $top = top_folder();
sub edit
{
	my ($file, $from, $to) = @_;
	my $text = slurp("$copy/$file");
	is($text =~ s/$from/$to->()/e, 1, "$file: one place");
	open my $f, '>', "$copy/$file" or die $!;
	print {$f} $text;
	close $f or die $!;
	return;
}
mkdir "$copy/$_" for qw(plugin uploader);
system('cp', glob("$top/plugin/*.h"), "$copy/plugin") == 0 or die;
system('sh', '-c', 'cd "$1/uploader" && find . -name "*.[ch]" -o -name Makefile | tar -cf - -T - | tar -xf - -C "$2/uploader"', 'sh', $top, $copy) == 0 or die;
system('cp', "$top/test/toy/toy.c", "$copy/uploader/codec") == 0 or die;
edit('uploader/codec/formats.c', qr/(static const Format \*const formats\[\] = \{ )/, sub { "extern const Format toy_format; $1&toy_format, " });
edit('uploader/cmd/config.c', qr/"json, csv, parquet"/, sub { '"json, csv, parquet, toy"' });
my $made = capture([ 'make', '-s', '-j2', '-C', "$copy/uploader", 'WERROR=1', 'CFLAGS=-O1' ], timeout => 900);
is($made->{code}, 0, 'it builds') or diag substr($made->{out} . $made->{err}, -2000);

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', <<'SQL');
create table t (id integer primary key, v text, j jsonb);
insert into t select i, 'old ' || i, 'null' from generate_series(1, 500) i;
create table long (id integer primary key, v text);
SQL
$ENV{CDCS3_TEST_BIN} = "$copy/uploader/cdc-s3";
my $cdc = sidecar($source, 'postgres', file_store(), flags => ['--output.format=toy']);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;
$source->psql('postgres', <<'SQL');
insert into t select i, 'new', '{"a": [1, 2]}' from generate_series(501, 900) i;
update t set id = -id where id % 10 = 0;
update t set v = null where id % 7 = 0;
delete from t where id % 3 = 0;
insert into long values (1, repeat('long ', 3000000));
SQL
ok($cdc->wait_durable, 'durable') or diag $run->errors;
$run->signal('KILL');
$run->wait(10);
$run = $cdc->start;
$source->psql('postgres', q(insert into t values (5000, 'behind the kill', null)));
ok($cdc->wait_durable, 'durable again') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0');
my @objects = map { $cdc->entry_objects($_) } $cdc->entries;
is(scalar(grep { $_->{key} !~ /\.toy\.zst$/ } @objects), 0, 'all objects are toys');
my $rows = 0;
$rows += $_->{rows} for @objects;
my @lines = split /\n/, $cdc->replay;
is(scalar @lines, $rows, 'replay reads them');
is(scalar(grep { !/^\{"_schema":"public","_table":"(?:t|long)","_op":".*\}$/ } @lines), 0, 'as record lines');
@$cdc{qw(target target_db)} = ($target, 'postgres');
my $merge = $cdc->call('merge', '--merge.until=now');
is($merge->{code}, 0, 'merge') or diag $merge->{err};
for my $table (qw(t long))
{
	my $sum = "select count(*), md5(string_agg(h::text, chr(10) order by id)) from $table h";
	is($target->psql('postgres', $sum), $source->psql('postgres', $sum), "$table: target equals source");
}
done_testing;
