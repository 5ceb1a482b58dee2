#-------------------------------------------------------------------------
# CdcS3::Lake
#	Writes a lake by hand into a folder, for tests that need rows, entries and
#	loads at exact positions and no source server.
#
#	my $lake = CdcS3::Lake->new(folder => $folder);
#	my $t = $lake->table('public.t', key => ['id'],
#		columns => [ [ id => 'int4', 'pk' ], [ big => 'text' ] ]);
#	$lake->entry(end => 0x2000, rows => [
#		[ $t, i => 0x1100, 1, { id => 1, big => '"x"' } ] ]);
#
# Values of columns are raw JSON text.
#-------------------------------------------------------------------------
package CdcS3::Lake;
use strict;
use warnings;

use Carp qw(croak);
use Digest::SHA qw(hmac_sha256_hex sha256_hex);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use JSON::PP;

# name => [ oid, kind on the wire ]
my %types = (
	bool => [ 16, 'bool' ],
	bytea => [ 17, 'bytea' ],
	int8 => [ 20, 'int8' ],
	int2 => [ 21, 'int2' ],
	int4 => [ 23, 'int4' ],
	text => [ 25, 'string' ],
	json => [ 114, 'json' ],
	xml => [ 142, 'text' ],
	point => [ 600, 'text' ],
	float8 => [ 701, 'float8' ],
	inet => [ 869, 'text' ],
	_int4 => [ 1007, 'text' ],
	_text => [ 1009, 'text' ],
	_bool => [ 1000, 'text' ],
	_float8 => [ 1022, 'text' ],
	_timestamp => [ 1115, 'text' ],
	_date => [ 1182, 'text' ],
	_timestamptz => [ 1185, 'text' ],
	bpchar => [ 1042, 'string' ],
	varchar => [ 1043, 'string' ],
	date => [ 1082, 'date' ],
	time => [ 1083, 'time' ],
	timestamp => [ 1114, 'timestamp' ],
	timestamptz => [ 1184, 'timestamptz' ],
	interval => [ 1186, 'interval' ],
	numeric => [ 1700, 'numeric' ],
	uuid => [ 2950, 'uuid' ],
	jsonb => [ 3802, 'text' ]);

my @crc_table = map {
	my $c = $_;
	$c = $c & 1 ? 0x82F63B78 ^ ($c >> 1) : $c >> 1 for 1 .. 8;
	$c;
} 0 .. 255;

sub crc32c
{
	my ($bytes) = @_;
	my $c = 0xFFFFFFFF;
	$c = $crc_table[ ($c ^ $_) & 0xFF ] ^ ($c >> 8) for unpack 'C*', $bytes;
	return sprintf '%08x', $c ^ 0xFFFFFFFF;
}

# An entry's JSON with its checks behind it, the HMAC where there is a key.
sub seal
{
	my ($json, $key) = @_;
	$json =~ s/\}\s*\z//;
	$json .= ",\n\"hmac\":\"" . hmac_sha256_hex($json, $key) . '"' if defined $key;
	return "$json,\n\"crc32c\":\"" . crc32c($json) . "\"}\n";
}

# relog(lake, sequence, change): an entry says something else, with checks
# that are right.
sub relog
{
	my ($lake, $seq, $change) = @_;
	my $json = JSON::PP->new->utf8;
	my $file = sprintf '%s/_cdc/log/%020d.json', $lake->{folder}, $seq;
	open my $in, '<:raw', $file or die "$file: $!";
	my $e = $json->decode(do { local $/ = undef; <$in> });
	close $in or die "$file: $!";
	delete $e->{crc32c};
	$change->($e);
	open my $out, '>:raw', $file or die "$file: $!";
	print {$out} seal($json->encode($e));
	close $out or die "$file: $!";
	return;
}

sub hex_lsn { return sprintf '%016X', $_[0] }

# As messages and --merge.until have it.
sub lsn { return sprintf '%X/%X', $_[0] >> 32, $_[0] & 0xFFFFFFFF }

# new(folder => path, system_identifier =>, slot =>, start => LSN, key =>)
sub new
{
	my ($class, %o) = @_;
	my $self = bless {
		system_identifier => '7000000000000000001',
		database => 'shop',
		slot => 'cdc_s3',
		start => 0x1000,
		seq => 0,
		closed => undef,
		%o
	}, $class;
	$self->{end} = $self->{start};
	$self->entry(end => $self->{start});
	return $self;
}

sub write_file
{
	my ($self, $key, $bytes) = @_;
	my $path = "$self->{folder}/$key";
	make_path(dirname($path));
	open my $f, '>:raw', $path or croak "$path: $!";
	print {$f} $bytes;
	close $f or croak "$path: $!";
	return;
}

# table('schema.name', columns => [ [ name, type, words … ] … ], key => [names],
#	identity => 'd', relation_id => n).  Words: pk, not_null, generated,
#	typmod=n, type_schema=s, oid=n, base=n, attnum=n; else a table is known by
#	its name, and a column by its own in it.
sub table
{
	my ($self, $name, %o) = @_;
	my ($schema, $table) = $name =~ /^([^.]+)\.(.+)$/ or croak $name;
	my %key = map { $_ => 1 } @{ $o{key} // [] };
	my $pk = 0;
	my @columns = map {
		my ($col, $type, @words) = @$_;
		my %w = map { /^(\w+)=(.*)/ ? ($1 => $2) : ($_ => 1) } @words;
		my ($oid, $kind) = @{ $types{$type} // [ $w{oid} // 16400, 'text' ] };
		{
			name => $col,
			json_name => $col =~ /^(?:_(?:op|lsn|seq|xid|ts|unchanged|key|before|nokey|partial|reason|withheld|jsonnull|exact|moved)|year|month|day|hour)_*$/i
			? "${col}_"
			: $col,
			type_schema => $w{type_schema} // 'pg_catalog',
			type => $type,
			kind => $kind,
			type_oid => $oid + 0,
			base_oid => ($w{base} // $oid) + 0,
			typmod => ($w{typmod} // -1) + 0,
			attnum => $w{attnum} ? $w{attnum} + 0 : ($self->{attnums}{$name}{$col} //= ++$self->{last_attnum}{$name}),
			pk => $w{pk} ? ++$pk : 0,
			identity => $key{$col} || ($o{identity} // 'd') eq 'f'
			? JSON::PP::true
			: JSON::PP::false,
			key => $key{$col} || (($o{identity} // 'd') eq 'f' && !%key)
			? JSON::PP::true
			: JSON::PP::false,
			not_null => $w{not_null} || $w{pk} ? JSON::PP::true : JSON::PP::false,
			generated => $w{generated} ? JSON::PP::true : JSON::PP::false,
			exists $w{missing} ? (missing => $w{missing}) : ()
		};
	} @{ $o{columns} };
	my $relation_id = $o{relation_id}
	  // ($self->{relation_ids}{$name} //= 16500 + keys %{ $self->{relation_ids} });
	my $text = JSON::PP->new->canonical->utf8->encode(
		{
			version => 1,
			schema => $schema,
			table => $table,
			relation_id => $relation_id,
			$o{row_type} ? (row_type => $o{row_type}) : (),
			identity => $o{identity} // 'd',
			columns => \@columns
		});
	my $hash = substr sha256_hex($text), 0, 16;
	$self->write_file('_cdc/schema/' . segment($schema) . '/'
		  . segment($table) . "/$hash.json", $text);
	return {
		schema => $schema,
		table => $table,
		hash => $hash,
		relation_id => $relation_id,
		row_type => $o{row_type},
		columns => [ map { $_->{name} } @columns ],
		json => { map { $_->{name} => $_->{json_name} } @columns }
	};
}

sub segment
{
	my ($s) = @_;
	utf8::encode($s) if utf8::is_utf8($s);
	$s =~ s/([^A-Za-z0-9_.-])/sprintf '%%%02X', ord $1/ge;
	$s =~ s/^([_.])/sprintf '%%%02X', ord $1/e;
	return $s;
}

# One line.  cols: column => raw JSON; meta: further members => raw JSON.
sub line
{
	my ($t, $op, $lsn, $seq, $cols, $meta) = @_;
	my @m = (qq{"_op":"$op"}, '"_lsn":"' . hex_lsn($lsn) . '"', qq{"_seq":$seq},
		'"_xid":7', '"_ts":"2026-11-21T08:14:07.123456Z"');
	push @m, map { qq{"$_":$meta->{$_}} } sort keys %{ $meta // {} };
	push @m, map {
		my $n = JSON::PP->new->allow_nonref->encode($t->{json}{$_});
		"$n:$cols->{$_}"
	  }
	  grep { exists $cols->{$_} } @{ $t->{columns} };
	return '{' . join(',', @m) . "}\n";
}

# entry(end => LSN, rows => [[table, op, lsn, seq, cols, meta], …],
#	loads => [[id, table, state, lsn, reason, resync_lsn, whether it names its schema], …], load => { load id => rows },
#	closed => 'iso time', parts => n objects a table, schemas => [tables, or
#	{ of => table, lsn, seq, created, gone, left }])
sub entry
{
	my ($self, %o) = @_;
	my $seq = $self->{seq}++;
	my $n = 0;
	my @objects;
	my $put = sub {
		my ($load, @rows) = @_;
		my %by;
		my $parts = $o{parts} // 1;
		for my $i (0 .. $#rows)
		{
			my $t = $rows[$i][0];
			push @{ $by{ join "\0", $t->{schema}, $t->{table}, $t->{hash},
				  $parts > 1 ? int rand $parts : 0 } }, $rows[$i];
		}
		for my $k (sort keys %by)
		{
			my @r = @{ $by{$k} };
			my $t = $r[0][0];
			my $body = join '', map { line(@$_) } @r;
			utf8::encode($body) if utf8::is_utf8($body);
			my $name = $load ? "load-$load" : sprintf 'part-%012d', $seq;
			my $key = segment($t->{schema}) . '/' . segment($t->{table})
			  . sprintf "/year=2026/month=11/day=21/hour=08/$name-%04d-9f3a1c07.json",
			  $n++;
			$self->write_file($key, $body);
			push @objects,
			  {
				key => $key,
				schema => $t->{schema},
				table => $t->{table},
				hash => $t->{hash},
				$load ? (load => $load) : (),
				rows => scalar @r,
				bytes => length $body,
				first_lsn => hex_lsn($r[0][2]),
				first_seq => $r[0][3],
				last_lsn => hex_lsn($r[-1][2]),
				last_seq => $r[-1][3],
				crc32c => crc32c($body),
				defined $self->{key} ? (sha256 => sha256_hex($body)) : ()
			  };
		}
	};
	$put->('', @{ $o{rows} // [] });
	$put->($_, @{ $o{load}{$_} }) for sort keys %{ $o{load} // {} };
	$self->{closed} = $o{closed} if $o{closed};
	my $end = $o{end} // $self->{end};
	my %e = (
		version => 2,
		entry => $seq,
		source => {
			system_identifier => $self->{system_identifier},
			timeline => 1,
			database => $self->{database},
			slot => $self->{slot}
		},
		prev_end_lsn => hex_lsn($self->{end}),
		end_lsn => hex_lsn($end),
		closed_until => $self->{closed},
		swept_until => undef,
		loaded => $seq > 0 ? JSON::PP::true : JSON::PP::false,
		loads_open => 0,
		loads_since => 0,
		writer => '9f3a1c07',
		time => '2026-11-21T08:14:09.001002Z',
		loads => [
			map {
				{
					id => $_->[0],
					schema => $_->[1]{schema},
					table => $_->[1]{table},
					state => $_->[2],
					lsn => hex_lsn($_->[3] // 0),
					defined $_->[4] ? (reason => $_->[4]) : (),
					defined $_->[5] ? (resync_lsn => hex_lsn($_->[5])) : (),
					$_->[6] ? (hash => $_->[1]{hash}) : ()
				}
			} @{ $o{loads} // [] }
		],
		schemas => [
			map {
				my $s = $_->{of} ? $_ : { of => $_ };
				my $t = $s->{of};
				{
					schema => $t->{schema},
					table => $t->{table},
					hash => $s->{gone} || $s->{left} ? '' : $t->{hash},
					lsn => hex_lsn($s->{lsn} // $end),
					exists $s->{seq} ? (seq => $s->{seq}) : (),
					$t->{row_type} ? (relation_id => $t->{relation_id}, row_type => $t->{row_type}) : (),
					map { $s->{$_} ? ($_ => JSON::PP::true) : () } qw(created gone left)
				}
			} @{ $o{schemas} // [] }
		],
		lists => [],
		objects => \@objects);
	$self->{end} = $end;
	$self->write_file(
		sprintf('_cdc/log/%020d.json', $seq),
		seal(JSON::PP->new->canonical->utf8->encode(\%e), $self->{key}));
	return $seq;
}

1;
