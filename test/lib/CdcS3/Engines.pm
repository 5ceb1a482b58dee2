#-------------------------------------------------------------------------
# CdcS3::Engines
#	Engines that read the lake, for the tests: DuckDB, pyarrow and sqlglot, in
#	the Python environment that test/deps-engines.sh brings.
#
#	use CdcS3::Engines qw(have_engines engines_missing python duckdb);
#	plan skip_all => engines_missing() unless have_engines();
#	my $r = python($script, @arguments);		# { code, out, err }
#	my @rows = duckdb("create …; select 1, 'x'");	# ([ 1, 'x' ])
#
#	Where they are not there, engines_missing says so in words that count as a
#	failure where all is run: "make deps" brings them.
#-------------------------------------------------------------------------
package CdcS3::Engines;
use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use JSON::PP;

use CdcS3::Proc qw(capture temp_folder);

our @EXPORT_OK = qw(have_engines engines_missing engines_python python duckdb);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my $count = 0;

# The path of the environment's python.
sub engines_python
{
	my $r = capture([ 'sh', "$top/test/deps-engines.sh", '--path' ]);
	die $r->{err} if $r->{code};
	chomp(my $path = $r->{out});
	return $path;
}

sub have_engines { return -e engines_python() }

sub engines_missing { return 'missing: DuckDB and pyarrow; "make deps" brings them' }

sub file_with
{
	my ($suffix, $text) = @_;
	my $path = temp_folder() . '/engine' . $count++ . $suffix;
	utf8::encode($text) if utf8::is_utf8($text);
	open my $f, '>:raw', $path or croak "$path: $!";
	print {$f} $text;
	close $f or croak "$path: $!";
	return $path;
}

# Runs a Python script, given as text, with arguments: { code, out, err }.
sub python
{
	my ($script, @args) = @_;
	return capture([ engines_python(), file_with('.py', $script), @args ]);
}

# Python prints the rows: each value as text, as DuckDB itself casts it, so that
# no digit of it goes through a number of Python or perl.
my $run_sql = <<'PYTHON';
import duckdb, json, sys
connection = duckdb.connect(sys.argv[2] if len(sys.argv) > 2 else ":memory:")
connection.execute("set timezone = 'UTC'")
last = None
for statement in duckdb.extract_statements(open(sys.argv[1], encoding="utf-8").read()):
    last = connection.sql(statement)
if last is not None:
    text = last.select(duckdb.SQLExpression("cast(columns(*) as varchar)"))
    for row in text.fetchall():
        print(json.dumps(row))
PYTHON

# The rows that the last of these statements gives; each row is an array of
# values as text, undef for NULL.  Dies with DuckDB's words.  The second
# argument is a file of a database that is to last.
sub duckdb
{
	my ($sql, $file) = @_;
	my $r = python($run_sql, file_with('.sql', $sql), $file // ());
	croak "DuckDB: $r->{err}" if $r->{code};
	return map { JSON::PP->new->utf8->decode($_) } split /\n/, $r->{out};
}

1;
