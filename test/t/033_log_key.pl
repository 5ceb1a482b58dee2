#-------------------------------------------------------------------------
# A signed log: who has the key reads it, who has not cannot write it; the key
# is changed by two of them.  No key is ever printed, or taken from a flag.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Lake;
use CdcS3::Test;

my ($old, $new) = ('old-key-of-the-log', 'new-key-of-the-log');
my $folder = temp_folder();

sub key_file
{
	my (@keys) = @_;
	my $path = "$folder/key" . @keys . $keys[0];
	open my $f, '>', $path or die $!;
	print {$f} map { "$_\n" } @keys;
	close $f or die $!;
	return $path;
}

# ---- a real run ----
my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', 'create table t (id integer primary key); insert into t select generate_series(1, 100)');
my $cdc = sidecar(
	$source, 'postgres', file_store(),
	target => $target,
	flags => ['--merge.until=now']);

# Exit code and message of a command with these keys.
sub with
{
	my ($command, $keys, $code, $says, $name) = @_;
	my $r = $cdc->call($command, @$keys ? '--log.key_file=' . key_file(@$keys) : ());
	is($r->{code}, $code, "$name: $command: exit $code") or diag $r->{err};
	like($r->{err}, $says, "$name: $command: says so") if $says;
	unlike($r->{out} . $r->{err}, qr/key-of-the-log/, "$name: $command: no key is printed");
	return $r;
}

sub more
{
	my (@keys) = @_;
	my $run = $cdc->start('--log.key_file=' . key_file(@keys));
	$cdc->wait_loaded or die $run->errors;
	$source->psql('postgres', 'insert into t select max(id) + 1 from t');
	$cdc->wait_durable or die $run->errors;
	is($run->stop('TERM', 60), 0, "run with @keys") or diag $run->errors;
	unlike($run->errors, qr/key-of-the-log/, 'the log has no key');
	return;
}

with('init', [$old], 0, undef, 'signed');
more($old);
for my $file ($cdc->entry_files)
{
	my $text = slurp($file);
	my ($body) = $text =~ /^(.*),\n"hmac":"[0-9a-f]{64}",\n"crc32c":"[0-9a-f]{8}"}\n\z/s;
	is($text, CdcS3::Lake::seal($body // '', $old), 'an entry is signed as doc/lake.md says');
}
my $no_hmac = qr/log entry "_cdc\/log\/\d+\.json": its HMAC is not/;
for my $command (qw(ls replay merge))
{
	with($command, [$new], 3, $no_hmac, 'the wrong key');
	with($command, [$old], 0, undef, 'the right key');
	with($command, [], 0, undef, 'no key');
}
is($target->psql('postgres', 'select count(*) from t'), 101, 'all is merged');

my $run = $cdc->start;
is($run->wait(60), 2, 'run without the key: exit 2');
like($run->errors, qr/is signed, and there is no key.*log\.key_file/, 'run without the key: says so');

# ---- the key is changed ----
more($new, $old);
more($new, $old);
with('merge', [$old], 3, $no_hmac, 'after the change, the old key');
with('ls', [$new], 3, $no_hmac, 'after the change, the new key alone');
with($_, [ $old, $new ], 0, undef, 'after the change, both') for qw(ls replay merge);
is($target->psql('postgres', 'select count(*) from t'), 103, 'all is merged');

# The key by the variable.
{
	local $cdc->{env} = { CDC_S3_LOG_KEY => "$old $new" };
	is($cdc->call('ls')->{code}, 0, 'the key in the variable');
	local $cdc->{env} = { CDC_S3_LOG_KEY => 'another-key-of-the-log' };
	is($cdc->call('ls')->{code}, 3, 'another key in the variable');
	my $r = with('ls', [$old], 2, qr/both set/, 'file and variable');
}
for (
	[ '--log.key=' . $old, qr/"--log\.key" holds a key/ ],
	[ '--log.key_file=' . key_file('short'), qr/shorter than 16/ ],
	[ '--log.key_file=' . key_file($old, $new, $old), qr/more than two/ ],
	[ "--log.key_file=$folder/$old", qr/could not open the file that log\.key_file names/ ],
	[ "--log.key_file=$folder", qr/log\.key_file/ ])
{
	my $r = $cdc->call('ls', $_->[0]);
	is($r->{code}, 2, 'a key that cannot be taken: exit 2');
	like($r->{err}, $_->[1], 'a key that cannot be taken: says why');
	unlike($r->{err}, qr/key-of-the-log/, 'a key that cannot be taken: is not repeated');
}

# ---- forged ----
my $lake = CdcS3::Lake->new(folder => "$folder/lake", key => $old, slot => 'forged');
my $t = $lake->table('public.f', key => ['id'], columns => [ [ id => 'int4', 'pk' ] ]);
$lake->entry(end => 0x2000, rows => [ [ $t, 'i', 0x1100, 1, { id => 1 } ] ]);
my @merge = (
	'merge', "--store.url=file://$folder/lake",
	'--target.conninfo=' . $target->conninfo('postgres'),
	'--merge.until=now', '--log.key_file=' . key_file($old));
is(run_cdc(@merge)->{code}, 0, 'signed by hand');
$lake->{key} = undef;
$lake->entry(end => 0x3000, rows => [ [ $t, 'i', 0x2100, 1, { id => 2 } ] ]);
my $r = run_cdc(@merge);
is($r->{code}, 3, 'an entry without HMAC: exit 3');
like($r->{err}, qr/it has no HMAC/, 'an entry without HMAC: says so');
$lake->{key} = $new;
$lake->{seq}--;
$lake->{end} = 0x2000;
$lake->entry(end => 0x3000, rows => [ [ $t, 'i', 0x2100, 1, { id => 2 } ] ]);
$r = run_cdc(@merge);
is($r->{code}, 3, 'an entry of another key: exit 3');
is($target->psql('postgres', 'select count(*) from f'), 1, 'and nothing is merged');

done_testing;
