#-------------------------------------------------------------------------
# What a merge refuses: rows, logs that do not fit, damaged objects, a second
# merge at the same time.  Nothing is half done.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $target = new_cluster('target')->start;
my $databases = 0;
my @way = map { "--merge.way=$_" } $ENV{CDCS3_TEST_WAY} // ();
my ($db, $folder, $lake, $at);

sub fresh
{
	$db = 'm' . ++$databases;
	$target->psql('postgres', "create database $db");
	$folder = temp_folder() . "/lake_$db";
	$lake = CdcS3::Lake->new(folder => $folder, @_);
	$at = 0x2000;
	return;
}

sub merge
{
	return run_cdc('merge', "--store.url=file://$folder",
		'--target.conninfo=' . $target->conninfo($db), '--until=now', @way, @_);
}

sub psql { return $target->psql($db, $_[0]) }

sub entry
{
	my ($rows, %o) = @_;
	my $seq = 0;
	$at += 0x1000;
	return $lake->entry(
		end => $at,
		rows => [ map { my ($t, $op, @rest) = @$_; [ $t, $op, $at - 16, ++$seq, @rest ] } @$rows ],
		%o);
}

# One line on stderr about it, and this exit code.
sub refused
{
	my ($code, $says, $name, @flags) = @_;
	my $r = merge(@flags);
	is($r->{code}, $code, "$name: exit $code") or diag $r->{err};
	my @lines = grep { /^cdc-s3: / } split /\n/, $r->{err};
	is(scalar @lines, 1, "$name: one line");
	like($lines[0] // '', $says, "$name: says what");
	return;
}

sub table
{
	return $lake->table('public.t', key => ['id'],
		columns => [ [ id => 'int4', 'pk' ], [ v => 'text' ], [ n => 'int4' ] ], @_);
}

# ---- rows that the target refuses ----
fresh();
my $t = table();
psql('create table t (id int primary key, v varchar(5) not null, n int check (n < 100), u int generated always as (n / 1) stored unique)');
entry([ map { [ $t, 'i', { id => $_, v => '"ok"', n => $_ } ] } 1 .. 50 ]);
is(merge()->{code}, 0, 'merge');
entry([ [ $t, 'u', { id => 1, v => '"new"', n => 1 } ],
		[ $t, 'i', { id => 60, v => '"too long"', n => 60 } ],
		[ $t, 'i', { id => 61, v => '"zero \u0000"', n => 61 } ],
		[ $t, 'i', { id => 62, v => '"ok"', n => 100 } ],
		[ $t, 'u', { id => 2, v => 'null', n => 2 } ],
		[ $t, 'i', { id => 63, v => '"ok"', n => '99999999999' } ],
		[ $t, 'i', { id => 64, v => '"ok"', n => 3 } ],
		[ $t, 'u', { id => 70, n => 70 }, { _unchanged => '["v"]' } ],
		[ $t, 'u', { id => 5, v => '"much too long"', n => 5 } ],
		[ $t, 'u', { id => 5, n => 55 }, { _unchanged => '["v"]' } ],
		[ $t, 'i', { id => 65, n => 65 }, { _withheld => '{"v":{"reason":"encoding","size":3}}' } ],
		[ $t, 'u', { id => 3, v => '"three"', n => 77 } ],
		[ $t, 'd', { id => 4 } ],
		[ $t, 'i', { id => 66, v => '"last"', n => 66 } ] ]);
my $before = psql('select md5(string_agg(t::text, \'\' order by id)) from t');
refused(7, qr/row of table "public\.t" at LSN 0\/[0-9A-F]+, ordinal 2 was refused: .*too long for type character varying\(5\).*22001.*on_reject=continue/,
	'a row that is refused stops the merge');
is(psql('select md5(string_agg(t::text, \'\' order by id)) from t'), $before, 'and nothing is changed');
my $r = merge('--merge.on_reject=continue');
is($r->{code}, 8, 'on_reject=continue goes on') or diag $r->{err};
like($r->{out}, qr/^public\.t: .* 9 rejected$/m, 'says how many') or diag $r->{out};
is(psql('select string_agg(format($$%s %s %s$$, id, v, n), $$;$$ order by id) from t where id < 6 or id > 50'),
	'1 new 1;2 ok 2;3 three 77;5 ok 5;64 ok 3;66 last 66', 'the good rows are applied');
is(psql('select string_agg(seq || op || sqlstate, $$ $$ order by seq) from cdc_s3.rejected'),
	'2i22001 3i22021 4i23514 5u23502 6i22003 8u 9u22001 10u 11i', 'and the others kept') or
  diag psql('select * from cdc_s3.rejected');
is(psql(q(select "row"::json->>'v' from cdc_s3.rejected where seq = 4)), 'ok', 'with what they held');
is(psql(q(select distinct source_schema || source_table || (lsn > '0/0')::text from cdc_s3.rejected)), 'publicttrue', 'and from where');

fresh();
my $nokey = $lake->table('public.nk', identity => 'n', columns => [ [ a => 'int4' ] ]);
entry([ [ $nokey, 'i', { a => 1 } ], [ $nokey, 'u', { a => 2 }, { _nokey => 'true' } ], [ $nokey, 'd', {}, { _nokey => 'true' } ] ]);
refused(7, qr/"public\.nk".*ordinal 2.*no key/, 'an update of a row nobody can find');
is(merge('--merge.on_reject=continue')->{code}, 8, 'continue');
is(psql('select count(*) from cdc_s3.rejected') . psql('select count(*) from nk'), '21', 'both are kept');
my $bag = $lake->table('public.bag', identity => 'f', columns => [ [ a => 'int4' ] ]);
entry([ [ $bag, 'd', { a => 1 } ] ]);
refused(7, qr/"public\.bag".*not at the target/, 'a row to delete that is not there');

# ---- a piece with many rows, one of them bad ----
fresh();
$t = table();
entry([ map { [ $t, 'i', { id => $_, v => '"x"', n => $_ == 700 ? '"x"' : $_ } ] } 1 .. 1500 ]);
refused(7, qr/ordinal 700 .*invalid input syntax for type integer/, 'one bad row of many');
is(merge('--merge.on_reject=continue')->{code}, 8, 'continue');
is(psql('select count(*) from t'), 1499, 'all others are there');

# ---- logs that do not fit ----
fresh();
$t = table();
entry([ [ $t, 'i', { id => 1, v => '"a"', n => 1 } ] ]);
entry([ [ $t, 'i', { id => 2, v => '"a"', n => 1 } ] ]);
is(merge()->{code}, 0, 'merge');
my $good = $folder;
{
	$folder = temp_folder() . "/other";
	$lake = CdcS3::Lake->new(folder => $folder, system_identifier => '7000000000000000002');
	refused(3, qr/another source: slot "cdc_s3" of system 7000000000000000001/, 'a lake of another source');
	$folder = temp_folder() . '/short';
	$lake = CdcS3::Lake->new(folder => $folder);
	refused(3, qr/entry 2 .*does not have/, 'a lake that was emptied');
	$lake->entry(end => 0x2222) for 1 .. 3;
	refused(3, qr/entry 2, LSN 0\/4000, but .* ends at 0\/2222/, 'a lake that was made anew');
	$folder = temp_folder() . '/none';
	refused(2, qr/no commit log.*init/, 'no lake');
	$folder = $good;
}
unlink "$good/_cdc/log/00000000000000000002.json";
refused(3, qr/entry 2 /, 'the entry where the target stands is gone');

# A chain with a hole: what lies between two entries is in none.
for my $merged (0, 1)
{
	my $where = $merged ? 'behind the position' : 'at the first merge';
	fresh();
	$t = table();
	entry([ [ $t, 'i', { id => 1, v => '"a"', n => 1 } ] ]);
	is(merge()->{code}, 0, "$where: merge") if $merged;
	$lake->{end} += 0x10;
	entry([ [ $t, 'i', { id => 2, v => '"a"', n => 1 } ] ]);
	refused(3, qr{commit log is broken: entry \d+ ends at 0/3000, but entry \d+ starts at 0/3010},
		"a hole in the chain, $where");
	is($target->psql($db, "select to_regclass('public.t') is null"), 't', "$where: nothing is done")
	  if !$merged;
	is(psql('select count(*) from t'), 1, "$where: nothing is done") if $merged;
}

fresh();
$t = table();
entry([ [ $t, 'i', { id => 1, v => '"a"', n => 1 } ] ]);
entry([ [ $t, 'i', { id => 2, v => '"a"', n => 1 } ] ]);
entry([ [ $t, 'i', { id => 3, v => '"a"', n => 1 } ] ]);
rename "$folder/_cdc/log/00000000000000000002.json", "$folder/kept";
refused(3, qr/entry 2 of the commit log is missing, but there is an entry 3/, 'an entry is missing');
rename "$folder/kept", "$folder/_cdc/log/00000000000000000002.json";
my ($object) = sort glob "$folder/public/t/*/*/*/*/part-000000000002*";
my $body = slurp($object);
unlink $object;
refused(3, qr/object "public\/t\/.*part-000000000002.*, which the commit log lists/, 'an object is missing');
open my $f, '>', $object or die $!;
print {$f} $body =~ s/"a"/"b"/r;
close $f;
refused(3, qr/object "public\/t\/.*part-000000000002/, 'an object is damaged');
open $f, '>', $object or die $!;
print {$f} $body x 1000;
close $f;
refused(3, qr/object "public\/t\/.*part-000000000002.*more bytes than the \d+ that the log says/, 'an object that is longer');
is(psql("select to_regclass('public.t') is null"), 't', 'nothing was merged on the way');
open $f, '>', $object or die $!;
print {$f} $body;
close $f;
is(merge()->{code}, 0, 'with all in its place it merges');
is(psql('select count(*) from t'), 3, 'all of it');

# ---- a log with holes, or with a digit that is wrong ----
sub log_file { return sprintf '%s/_cdc/log/%020d.json', $folder, $_[0] }

sub no_log
{
	my ($says, $name) = @_;
	refused(3, $says, "merge: $name");
	for my $command ('ls', 'replay')
	{
		my $r = run_cdc($command, "--store.url=file://$folder");
		is($r->{code}, 3, "$command: $name: exit 3");
		like($r->{err}, $says, "$command: $name: says what");
	}
	return;
}
fresh();
$t = table();
entry([ [ $t, 'i', { id => $_, v => '"a"', n => 1 } ] ]) for 1 .. 9;
for my $hole ([ 0, 0 ], [ 0, 8 ], [ 1, 1 ], [ 3, 4 ], [ 2, 7 ], [ 8, 8 ])
{
	my ($from, $to) = @$hole;
	my @files = map { log_file($_) } $from .. $to;
	rename $_, "$_.kept" for @files;
	no_log(qr/entry $from of the commit log is missing, but there is an entry 9/,
		"entries $from to $to are gone");
	rename "$_.kept", $_ for @files;
}
is(psql("select to_regclass('public.t') is null"), 't', 'nothing was merged');
is(merge('--until=0/4000')->{code}, 0, 'merge of the first two');
rename log_file($_), log_file($_) . '.kept' for 3 .. 6;
refused(3, qr/entry 3 .*missing, but there is an entry 9/, 'a hole behind the position');
rename log_file($_) . '.kept', log_file($_) for 3 .. 6;
my $entry = slurp(log_file(3));
srand 14;
for my $try (1 .. 12)
{
	my @digits = grep { substr($entry, $_, 1) =~ /[0-9]/ } 0 .. length($entry) - 1;
	my $at = $digits[ rand @digits ];
	my $bad = $entry;
	substr($bad, $at, 1) = (substr($bad, $at, 1) + 1 + int rand 9) % 10;
	$lake->write_file(sprintf('_cdc/log/%020d.json', 3), $bad);
	refused(3, qr/log entry "_cdc\/log\/0+3\.json": its checksum is not/, "a wrong digit at $at");
}
no_log(qr/0+3\.json": its checksum is not that of its content/, 'a wrong digit');
$lake->write_file(sprintf('_cdc/log/%020d.json', 3), $entry =~ s/,\n"crc32c":"\w+"}\n\z/}\n/r =~ s/"version":2/"version":1/r);
refused(3, qr/its checksum is not that.*begin a new lake/, 'an entry of a release without checksums');
$lake->write_file(sprintf('_cdc/log/%020d.json', 3), $entry);
is(merge()->{code}, 0, 'with all in its place it merges');
is(psql('select count(*) from t'), 9, 'all of it');

# ---- an object that unpacks to far more than the log says ----
my @kept = ($db, $folder, $lake, $at, $t);
fresh();
$t = table();
entry([ [ $t, 'i', { id => 1, v => '"a"', n => 1 } ] ]);
{
	my $line = CdcS3::Lake::line($t, 'i', $at - 16, 1, { id => 1, v => '"a"', n => 1 });
	my ($path) = sort glob "$folder/public/t/*/*/*/*/part-000000000001*";
	open my $zip, '|-', "gzip -9 > $path.gz" or die $!;
	print {$zip} $line x 1000 for 1 .. 2000;
	close $zip or die $!;
	my $bomb = slurp("$path.gz");
	my $log = log_file(1);
	my $e = slurp($log);
	my ($key) = $e =~ /"key":"([^"]+)"/;
	my $crc = CdcS3::Lake::crc32c($bomb);
	$e =~ s/\Q$key\E/$key.gz/;
	$e =~ s/"bytes":\d+/'"bytes":' . length $bomb/e;
	$e =~ s/"crc32c":"\w+","first/"crc32c":"$crc","first/;
	$e =~ s/,\n"crc32c".*//s;
	$lake->write_file(sprintf('_cdc/log/%020d.json', 1), CdcS3::Lake::seal("$e}"));
}
refused(3, qr/object .*\.json\.gz.*more than the 1 rows that the log says/, 'an object with many more rows');
($db, $folder, $lake, $at, $t) = @kept;

# ---- two at the same time ----
entry([ [ $t, 'i', { id => $_, v => '"a"', n => 1 } ] ]) for 10 .. 14;
my @both = map {
	spawn(
		cmd => [ CdcS3::Sidecar::program(), 'merge', '--until=now', "--store.url=file://$folder",
			'--target.conninfo=' . $target->conninfo($db) ],
		out_path => "$folder/out$_",
		err_path => "$folder/err$_")
} 1, 2;
$_->wait(60) for @both;
like(join('', map { slurp("$folder/out$_") } 1, 2), qr/5 inserted/, 'one of two merges does it');
like(join('', map { slurp("$folder/out$_") } 1, 2), qr/nothing to merge/, 'and the other has nothing to do');
is(psql('select count(*) from t'), 14, 'once');

# ---- killed in the middle ----
entry([ map { [ $t, 'i', { id => 100 + $_, v => '"kill"', n => 1 } ] } 1 .. 3000 ]);
for my $ms (20, 60, 120, 200)
{
	my $p = spawn(
		cmd => [ CdcS3::Sidecar::program(), 'merge', '--until=now', "--store.url=file://$folder",
			'--target.conninfo=' . $target->conninfo($db) ],
		out_path => "$folder/out",
		err_path => "$folder/err");
	select undef, undef, undef, $ms / 1000;
	$p->stop('KILL', 10);
	my $n = psql("select count(*) from t where v = 'kill'");
	ok($n == 0 || $n == 3000, "killed after $ms ms: all or nothing");
}
is(merge()->{code}, 0, 'then again');
is(psql("select count(*) from t where v = 'kill'"), 3000, 'all rows, once');

# ---- no target, no rights ----
my $refused = run_cdc('merge', "--store.url=file://$folder", '--target.conninfo=host=/nowhere dbname=x');
is($refused->{code}, 7, 'no target server: exit 7');
like($refused->{err}, qr/^cdc-s3: .*could not connect to the target server/m, 'says so');
fresh();
$t = table();
entry([ [ $t, 'i', { id => 1, v => '"a"', n => 1 } ] ]);
$target->psql('postgres', 'create role nobody_much login');
$r = run_cdc('merge', "--store.url=file://$folder", '--target.conninfo=' . $target->conninfo($db, user => 'nobody_much'), '--until=now');
is($r->{code}, 7, 'no right to create schema cdc_s3: exit 7');
like($r->{err}, qr/create schema cdc_s3.*GRANT CREATE ON DATABASE/, 'says the mend');
like(run_cdc('merge', "--store.url=file://$folder", '--merge.map=a=b')->{err}, qr/merge\.map/, 'a map that cannot be understood');

done_testing;
