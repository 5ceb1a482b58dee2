#-------------------------------------------------------------------------
# Objects that no entry lists: what a writer left behind that died is removed
# after the next start, and nothing else is.
#-------------------------------------------------------------------------
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use Test::More;

use CdcS3::Test;

my $source = new_cluster('source')->start;
$source->psql('postgres', 'create database work');
$source->psql('work',
	'create table t (id bigint primary key, a text); '
	  . 'insert into t select i, md5(i::text) from generate_series(1, 1000) i');
my $cdc = sidecar($source, 'work', file_store());
my $folder = $cdc->{store}{folder};
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'the table is loaded') or diag $run->errors;
$source->psql('work', "insert into t values (2000, 'a')");
ok($cdc->wait_durable, 'a change is durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops');

my @listed = map { $_->{key} } map { $cdc->entry_objects($_) } $cdc->entries;
my ($object) = grep { /\/part-/ } @listed;
ok($object, 'there is an object of changes');
my ($number) = $object =~ /part-(\d+)-/;
my $partition = "$folder/" . dirname($object);

# As a writer would have left them behind: named with an entry that does not
# list them, with one that is not written yet, and what is not ours.
my $dead = "$partition/part-$number-0099-deadbeef.json.zst";
my $ahead = "$partition/part-000000900000-0000-deadbeef.json.zst";
my $load = "$partition/load-00000000deadbeef-000000-deadbeef.json.zst";
my $foreign = "$partition/notes.txt";
copy("$folder/$object", $_) or die "$_: $!" for $dead, $ahead, $load, $foreign;

$run = $cdc->start;
$source->psql('work', "insert into t values (2001, 'b')");
ok($cdc->wait_durable, 'a change makes an entry') or diag $run->errors;
ok(poll(sub { !-e $dead }, 60), 'what no entry lists is removed')
  or diag $run->errors;
ok(-e $ahead, 'what an entry may still list stays');
ok(-e $load, 'a load that nobody gave up stays');
ok(-e $foreign, 'what is not ours stays');
is_deeply([ grep { !-e "$folder/$_" } @listed ],
	[], 'what is listed stays');

# A kill in mid-load and in mid-stream: at the end folder and log agree.
$source->psql('work',
	'insert into t select i, repeat(md5(i::text), 20) '
	  . 'from generate_series(10000, 60000) i');
$run->stop('KILL', 30);
$run = $cdc->start;
$source->psql('work', "insert into t values (2002, 'c')");
ok($cdc->wait_durable(120), 'the next start goes on') or diag $run->errors;
unlink $ahead, $load, $foreign;
ok( poll(
		sub {
			my %in_log =
			  map { $_->{key} => 1 }
			  map { $cdc->entry_objects($_) } $cdc->entries;
			return !grep { !$in_log{$_} } $cdc->objects;
		},
		60),
	'folder and log agree') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops again');
done_testing();
