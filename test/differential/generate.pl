#!/usr/bin/perl
# Prints SQL made from a seed: a few tables of any types and replica
# identities, and transactions of changes and DDL on them.
use strict;
use warnings;

my $seed = shift or die "usage: generate.pl SEED\n";
my $state = $seed * 7919 + 17;

# Of our own, so that a seed means the same on every machine.
sub any
{
	my ($n) = @_;
	return 0 if !$n;
	$state = ($state * 1103515245 + 12345) & 0x7fffffff;
	return int(($state >> 8) % $n);
}

sub pick { return $_[ any(scalar @_) ]; }

sub quoted
{
	my ($s) = @_;
	$s =~ s/'/''/g;
	return "'$s'";
}

sub words
{
	return join '', map { pick('a' .. 'f', ' ', "'", '"', '\\', 'ä', '日', ',', '{') }
	  1 .. any(12);
}

my %types = (
	int => sub { any(2) ? any(1000) - 500 : pick(2147483647, -2147483648) },
	bigint => sub { pick(9223372036854775807, '-9223372036854775808', any(9)) },
	smallint => sub { any(65536) - 32768 },
	boolean => sub { pick('true', 'false') },
	text => sub { quoted(words()) },
	'varchar(20)' => sub { quoted(words()) },
	'char(9)' => sub { quoted(substr(words(), 0, 4)) },
	numeric => sub { pick("'NaN'", any(10**6) / 100, "1e" . any(60), "-0.00" . any(99)) },
	'numeric(12,3)' => sub { any(10**6) / 1000 },
	'double precision' => sub { pick("'-0'", "'NaN'", "'Infinity'", any(1000) / 7) },
	real => sub { any(1000) / 7 },
	date => sub { pick("'infinity'", "'0044-03-15 BC'", "'2026-11-" . (1 + any(30)) . "'") },
	timestamptz => sub { pick("'-infinity'", "'2026-11-21 08:14:07." . any(999999) . "+05:30'") },
	timestamp => sub { "'2026-11-21 08:14:" . any(60) . "'" },
	'time' => sub { "'08:14:" . any(60) . "'" },
	interval => sub { "'" . (any(30) - 15) . " months " . any(99) . " days -" . any(9999) . " seconds'" },
	uuid => sub { sprintf "'%08x-0000-4000-8000-%012x'", any(2**30), any(2**30) },
	bytea => sub { sprintf "'\\x%04x'", any(65536) },
	jsonb => sub { "'{\"a\": [" . any(99) . ", null, \"x\"]}'" },
	json => sub { "'{\"a\":" . any(99) . ", \"a\":2}'" },
	'int[]' => sub { pick("'{}'", "'{1,NULL," . any(9) . "}'", "'[2:3]={4,5}'") },
	'text[]' => sub { "array[" . quoted(words()) . ", NULL, " . quoted(words()) . "]" },
	int4range => sub { pick("'empty'", "'[1," . (2 + any(50)) . ")'") },
	inet => sub { "'10.0." . any(255) . ".1/24'" },
	mood => sub { pick("'sad'", "'it''s ok'") },
	pair => sub { "(" . any(9) . ", " . quoted(words()) . ")::pair" },
	cents => sub { any(10000) / 100 },
	long => sub { "repeat(" . quoted('l' . any(1000)) . ", " . (600 + any(900)) . ")" },
);
my @names = sort keys %types;

sub value
{
	my ($type) = @_;
	return any(6) == 0 ? 'NULL' : $types{$type}->();
}

print <<'END';
CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN cents AS numeric(10,2);
CREATE DOMAIN long AS text;
END

my (@tables, $serial);

sub add_table
{
	my $t = { name => 't' . ++$serial, columns => [], ids => 0 };
	my $form = pick(qw(key key key full fullkey nothing none index two));
	my @columns = ('id int NOT NULL');
	for my $i (1 .. 1 + any(9))
	{
		my $type = pick(@names);
		push @{ $t->{columns} }, [ "c$i", $type ];
		push @columns, "c$i $type";
		push @columns, "g$i int GENERATED ALWAYS AS (id + $i) STORED" if any(12) == 0;
	}
	push @columns, 'PRIMARY KEY (id)' if $form eq 'key' || $form eq 'fullkey';
	push @columns, 'k text DEFAULT \'k\' NOT NULL', 'PRIMARY KEY (k, id)' if $form eq 'two';
	print "CREATE TABLE $t->{name} (", join(', ', @columns), ");\n";
	for my $c (grep { $_->[1] eq 'long' && any(2) } @{ $t->{columns} })
	{
		print "ALTER TABLE $t->{name} ALTER $c->[0] SET STORAGE EXTERNAL;\n";
	}
	print "ALTER TABLE $t->{name} REPLICA IDENTITY FULL;\n" if $form =~ /full/;
	print "ALTER TABLE $t->{name} REPLICA IDENTITY NOTHING;\n" if $form eq 'nothing';
	print "CREATE UNIQUE INDEX $t->{name}_i ON $t->{name} (id);\n",
	  "ALTER TABLE $t->{name} REPLICA IDENTITY USING INDEX $t->{name}_i;\n"
	  if $form eq 'index';
	push @tables, $t;
}

sub insert
{
	my ($t) = @_;
	my @c = @{ $t->{columns} };
	$t->{ids}++;
	print "INSERT INTO $t->{name} (", join(', ', 'id', map { $_->[0] } @c),
	  ") VALUES (", join(', ', $t->{ids}, map { value($_->[1]) } @c), ");\n";
}

sub row { my ($t) = @_; return 1 + any($t->{ids} + 1); }

sub update
{
	my ($t) = @_;
	my $c = pick(@{ $t->{columns} }) or return insert($t);
	print "UPDATE $t->{name} SET $c->[0] = ", value($c->[1]),
	  (any(8) == 0 ? ", id = " . (++$t->{ids}) : ''), " WHERE id = ", row($t), ";\n";
}

sub ddl
{
	my ($t) = @_;
	my $what = any(7);
	my $n = ++$serial;
	my $c = @{ $t->{columns} } ? $t->{columns}[ any(scalar @{ $t->{columns} }) ] : undef;
	if ($what == 0)
	{
		my $type = pick(@names);
		print "ALTER TABLE $t->{name} ADD COLUMN n$n $type",
		  (any(2) ? " DEFAULT " . value($type) : ''), ";\n";
		push @{ $t->{columns} }, [ "n$n", $type ];
	}
	elsif ($what == 1 && $c)
	{
		print "ALTER TABLE $t->{name} DROP COLUMN $c->[0];\n";
		@{ $t->{columns} } = grep { $_ != $c } @{ $t->{columns} };
	}
	elsif ($what == 2 && $c)
	{
		print "ALTER TABLE $t->{name} RENAME $c->[0] TO r$n;\n";
		$c->[0] = "r$n";
	}
	elsif ($what == 3 && $c)
	{
		print "ALTER TABLE $t->{name} ALTER $c->[0] DROP DEFAULT, ",
		  "ALTER $c->[0] TYPE text USING $c->[0]::text;\n";
		$c->[1] = 'text';
	}
	elsif ($what == 4)
	{
		print "ALTER TABLE $t->{name} RENAME TO m$n;\n";
		$t->{name} = "m$n";
	}
	elsif ($what == 5)
	{
		print "ALTER TABLE $t->{name} REPLICA IDENTITY ", pick(qw(FULL DEFAULT NOTHING)), ";\n";
	}
	else
	{
		print pick("VACUUM $t->{name};\n", "CREATE INDEX ON $t->{name} (id);\n");
	}
}

sub change
{
	my $t = pick(@tables);
	my $what = any(20);
	if ($what < 9) { insert($t); }
	elsif ($what < 15) { update($t); }
	elsif ($what < 18) { print "DELETE FROM $t->{name} WHERE id = ", row($t), ";\n"; }
	elsif ($what == 18) { print "UPDATE $t->{name} SET id = id WHERE id > ", row($t), ";\n"; }
	elsif (any(4) == 0)
	{
		print "TRUNCATE $t->{name}, ", pick(@tables)->{name},
		  pick('', ' RESTART IDENTITY', ' CASCADE'), ";\n";
	}
	else { ddl($t); }
}

# What a rollback undoes must not stay in our idea of the tables.
sub copy
{
	return map { +{ %$_, columns => [ map { [@$_] } @{ $_->{columns} } ] } } @_;
}

add_table() for 1 .. 2 + any(3);
for (1 .. 120)
{
	my $kind = any(10);
	if ($kind == 0) { add_table() if @tables < 8; }
	elsif ($kind < 4) { change(); }
	else
	{
		my @before = copy(@tables);
		my $undo = any(6) == 0;
		print "BEGIN;\n";
		for (1 .. 1 + any(8))
		{
			if (any(8) == 0)
			{
				my @saved = copy(@tables);
				print "SAVEPOINT s;\n";
				change() for 1 .. 1 + any(3);
				if (any(2))
				{
					print "ROLLBACK TO s;\n";
					@tables = @saved;
				}
				else { print "RELEASE s;\n"; }
			}
			else { change(); }
		}
		print $undo ? "ROLLBACK;\n" : "COMMIT;\n";
		@tables = @before if $undo;
	}
}
# Spilled, and one by COPY.
my $t = $tables[0];
print "BEGIN;\nINSERT INTO $t->{name} (id) SELECT g FROM generate_series(100000, 101500) g;\n",
  "DELETE FROM $t->{name} WHERE id >= 100000;\nCOMMIT;\n";
print "COPY $t->{name} (id) FROM stdin;\n200000\n200001\n200002\n\\.\n";
