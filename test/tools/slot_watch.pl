#-------------------------------------------------------------------------
# slot_watch.pl PSQL CONNINFO SLOT LOG_FOLDER
#	Looks every 10 ms how far the slot is confirmed, and then at the last entry
#	of the log, which must end there or behind it: what is confirmed is never
#	sent again.  While the server is away it is looked for.  At TERM it prints
#	"N looks, N ahead".
#-------------------------------------------------------------------------
use strict;
use warnings;
use IO::Handle;
use IPC::Open2 qw(open2);
use Time::HiRes qw(sleep);

my ($program, $conninfo, $slot, $folder) = @ARGV;
my ($looks, $ahead, $seq, $end) = (0, 0, -1, '');
my ($pid, $from, $to);
$SIG{TERM} = sub {
	print "$looks looks, $ahead ahead\n";
	kill 'KILL', $pid if $pid;
	exit 0;
};
$SIG{PIPE} = 'IGNORE';

# What the last entry says; entries appear whole.
sub log_end
{
	while (open my $f, '<', sprintf('%s/%020d.json', $folder, $seq + 1))
	{
		local $/ = undef;
		($end) = <$f> =~ /[{,]"end_lsn":"([0-9A-F]{16})"/ or die "no entry\n";
		$seq++;
	}
	return $end;
}

# A line for the slot, and an empty one.
sub ask
{
	$pid //= open2($from, $to, 'sh', '-c', 'exec "$@" 2>/dev/null', 'psql', $program, '-XqAt',
		'-d', $conninfo);
	print {$to} "select coalesce(lpad(upper(to_hex(pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint)),"
	  . " 16, '0'), 'none') from pg_replication_slots where slot_name = '$slot' union all select '';\n";
	$to->flush;
	my $line = <$from> // die "gone\n";
	chomp $line;
	my $last = length $line ? <$from> // die "gone\n" : "\n";
	return $line =~ /^[0-9A-F]{16}$/ ? $line : '';
}

# '': nobody answers.  psql may wait for the next command where the server died
# behind the first row of an answer.
sub confirmed
{
	local $SIG{ALRM} = sub { die "late\n" };
	alarm 3;
	my $line = eval { ask() };
	alarm 0;
	return $line if defined $line;
	close $to;
	close $from;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	$pid = undef;
	return '';
}

while (1)
{
	my $at = confirmed();
	if (length $at)
	{
		$looks++;
		if ($at gt log_end())
		{
			$ahead++;
			print "confirmed up to $at, entry $seq ends at $end\n";
		}
	}
	sleep 0.01;
}
