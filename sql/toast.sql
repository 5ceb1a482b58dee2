-- Unchanged, null, empty and changed are four things.
CREATE TABLE toasted (id int PRIMARY KEY, n int, t text, c text, i int[]);
ALTER TABLE toasted ALTER t SET STORAGE EXTERNAL;
CREATE FUNCTION short() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(l, '(''[^'']{10})[^'']{40,}([^'']{10}'')', '\1...\2', 'g')
	FROM decoded() l WHERE l !~ '^(begin|commit)' $$;
INSERT INTO toasted VALUES (1, 1, repeat('abcdefgh', 1200), repeat('x', 200000),
	(SELECT array_agg(g) FROM generate_series(1, 5000) g));
UPDATE toasted SET n = 2;
UPDATE toasted SET t = NULL;
UPDATE toasted SET t = '';
UPDATE toasted SET t = repeat('12345678', 1200);
UPDATE toasted SET c = 'short', i = NULL;
UPDATE toasted SET n = 3;
DELETE FROM toasted;
SELECT * FROM short();
-- Identity full: the new row is complete, from the old one.
ALTER TABLE toasted REPLICA IDENTITY FULL;
INSERT INTO toasted VALUES (1, 1, repeat('abcdefgh', 1200), repeat('x', 200000),
	(SELECT array_agg(g) FROM generate_series(1, 5000) g));
UPDATE toasted SET n = 2;
UPDATE toasted SET t = NULL;
DELETE FROM toasted;
SELECT * FROM short();
INSERT INTO toasted VALUES (1, 1, repeat('abcdefgh', 1200), NULL, NULL);
UPDATE toasted SET n = 2;
DELETE FROM toasted;
SELECT regexp_replace(l, '(''[^'']{10})[^'']{40,}([^'']{10}'')', '\1...\2', 'g')
	FROM decoded('old', 'full') l WHERE l !~ '^(begin|commit)';
-- A toasted key: logged with each update, whether it changed or not.
CREATE TABLE toasted_key (k text PRIMARY KEY, n int);
ALTER TABLE toasted_key ALTER k SET STORAGE EXTERNAL;
INSERT INTO toasted_key VALUES (repeat('kkkkkkkkkk', 240), 1);
UPDATE toasted_key SET n = 2;
UPDATE toasted_key SET k = repeat('jjjjjjjjjj', 240);
UPDATE toasted_key SET k = 'small';
DELETE FROM toasted_key;
SELECT * FROM short();
-- Compressed in line and out of line, by both methods where there are two.
CREATE TABLE packed (id int PRIMARY KEY, a text, b bytea, c numeric, d jsonb);
INSERT INTO packed VALUES (1, repeat('pglz', 1000),
	decode(repeat('00ff', 3000), 'hex'), repeat('1234567890', 1000)::numeric,
	to_jsonb(repeat('json', 2000)));
SELECT l = 'insert public.packed: id=1 a=''' || repeat('pglz', 1000) ||
	''' b=''\x' || repeat('00ff', 3000) || ''' c=' ||
	repeat('1234567890', 1000) || ' d=''"' || repeat('json', 2000) || '"'''
	AS same
FROM decoded() l WHERE l ~ '^insert';
DROP TABLE toasted, toasted_key, packed;
DROP FUNCTION short;
