-- Values whose text would pass 1 GB are withheld, and nothing else is.
CREATE TYPE too AS (n numeric[], t text);
CREATE TABLE toolong (id int PRIMARY KEY, j jsonb, n numeric[], c too,
	r numrange[], note text);
INSERT INTO toolong VALUES (1,
	('[' || repeat('1e131071,', 9000) || '1]')::jsonb,
	array_fill(1e131071::numeric, array[9000]),
	row(array_fill(1e131071::numeric, array[9000]), 'x')::too,
	array_fill(numrange(1e131071, 2e131071), array[4500]), 'after');
-- Large, and fits.
INSERT INTO toolong VALUES (2,
	('[' || repeat('1e100,', 9000) || '1]')::jsonb,
	array_fill(1.5::numeric, array[9000]),
	row(array_fill(2.5::numeric, array[9000]), repeat('"', 10000))::too,
	array_fill(numrange(1, 2), array[4500]), 'after');
UPDATE toolong SET note = 'changed';
SELECT regexp_replace(regexp_replace(l, '''[^'']{100,}''', '(long)', 'g'),
	'([0-9]+) bytes\)', 'N bytes)', 'g') AS line
	FROM peeked() l WHERE l !~ '^(begin|commit)';
-- reason 2, stored size, CRC, no bytes
SELECT position('\x041e01000000'::bytea in data) > 0 AS bitmap,
	length(data) BETWEEN 100 AND 20000000 AS small
	FROM packets('tables', 'public.toolong') data LIMIT 1;
DROP TABLE toolong;
DROP TYPE too;
