-- Values whose text would pass 1 GB are withheld, and nothing else is.
CREATE TYPE too AS (n numeric[], t text);
CREATE TABLE toolong (id int PRIMARY KEY, j jsonb, n numeric[], c too,
	r numrange[], note text);
-- That it was made is told in packets of their own.
SELECT count(*) > 0 AS made FROM packets();
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
-- Rows nested deeper than anybody can print, and not so deep; types that branch
-- at each level; trees that the output function would need too much stack for.
DO $$ BEGIN
	EXECUTE 'CREATE TYPE nest_0 AS (a int)';
	EXECUTE 'CREATE TYPE wide_0 AS (a int)';
	FOR i IN 1 .. 80 LOOP
		EXECUTE format('CREATE TYPE nest_%s AS (a nest_%s)', i, i - 1);
		CONTINUE WHEN i > 12;
		EXECUTE format('CREATE TYPE wide_%s AS (a wide_%s, b wide_%2$s)', i, i - 1);
	END LOOP;
END $$;
CREATE TABLE deep (id int PRIMARY KEY, n nest_80, m nest_14, w wide_12, j jsonpath,
	js jsonpath[], q tsquery, note text);
CREATE FUNCTION nested(levels int) RETURNS text LANGUAGE sql AS $$
	SELECT repeat('ROW(', levels) || '1' || repeat(')', levels) $$;
SET max_stack_depth = '2MB';
SELECT format('INSERT INTO deep VALUES (1, %s, %s)', nested(81), nested(15)) \gexec
INSERT INTO deep (id, w, note) VALUES (2, ROW(NULL, NULL), 'wide');
INSERT INTO deep (id, j, js, q) VALUES (3, ('$' || repeat('[*]', 5000))::jsonpath,
	ARRAY[('$' || repeat('[*]', 5000))::jsonpath], 'a & !b');
INSERT INTO deep (id, j, js) VALUES (4, ('$' || repeat('[*]', 3000))::jsonpath,
	ARRAY[('$' || repeat('[*]', 3000))::jsonpath]);
SELECT regexp_replace(regexp_replace(l, '''[^'']{100,}''', '(long)', 'g'),
	'([0-9]+) bytes\)', 'N bytes)', 'g') AS line
	FROM decoded() l WHERE l !~ '^(begin|commit)';
-- With less stack, what it had to be made with does not matter.
INSERT INTO deep (id, j) VALUES (5, ('$' || repeat('[*]', 1000))::jsonpath);
SET max_stack_depth = '100kB';
SELECT regexp_replace(l, '([0-9]+) bytes\)', 'N bytes)', 'g') AS line
	FROM decoded() l WHERE l !~ '^(begin|commit)';
RESET max_stack_depth;
DROP TABLE deep;
DROP FUNCTION nested;
SET client_min_messages = warning;
DROP TYPE nest_0, wide_0 CASCADE;
