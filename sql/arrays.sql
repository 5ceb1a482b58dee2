-- Types made of other types go as text.
CREATE TYPE pair AS (a int, b text);
CREATE TYPE nested AS (p pair, ps pair[], at timestamptz);
CREATE TYPE colour AS ENUM ('red', 'blue');
CREATE DOMAIN pair_domain AS pair;
CREATE DOMAIN ints_domain AS int[];
CREATE TABLE arrays (id int PRIMARY KEY, i int[], t text[], d date[],
	ts timestamptz[], n numeric[], j jsonb[], e colour[], b bytea[], bx box[]);
INSERT INTO arrays VALUES
	(1, '{1,NULL,3}', array['NULL', NULL, 'a,b', 'q"x', '', 'back\slash', '{}'],
	 '{2026-11-21,infinity}', '{"2026-11-21 12:00+02"}', '{1.50,NaN}',
	 array['{"a": "b"}']::jsonb[], '{red,NULL}', array['\x00ff']::bytea[],
	 '{(1,1),(0,0);(2,2),(1,1)}'),
	(2, '{}', '{}', NULL, NULL, '{}', NULL, '{}', '{}', NULL),
	(3, '[2:3]={1,NULL}', '{{a,b},{c,d}}', NULL, NULL,
	 '[0:1][-1:0]={{1,2},{3,4}}', NULL, NULL, NULL, NULL);
CREATE TABLE composites (id int PRIMARY KEY, p pair, n nested, pd pair_domain,
	ids ints_domain);
INSERT INTO composites VALUES
	(1, (1, 'a,"b'), ((2, NULL), array[(3, 'x y')::pair, NULL],
	 '2026-11-21 12:00+02'), (4, ''), '{5,6}'),
	(2, (NULL, NULL), NULL, NULL, NULL);
CREATE TYPE floatrange AS RANGE (subtype = float8);
CREATE TABLE ranges (id int PRIMARY KEY, i int4range, n numrange,
	t tstzrange, d daterange, f floatrange, m int4multirange,
	tm tstzmultirange);
INSERT INTO ranges VALUES
	(1, '[1,5)', '(1.5,2.50]', '[2026-11-21 12:00+02,)', '[2026-11-21,infinity]',
	 '[0.1,0.30000000000000004]', '{[1,3),[5,7)}', '{[2026-11-21 12:00+02,)}'),
	(2, 'empty', '(,)', '(,infinity)', 'empty', '(,)', '{}', '{}');
SELECT * FROM decoded('include_relation', 'on') l
	WHERE l !~ '^(begin|commit)';
-- A changed composite and a renamed label show at once.
BEGIN;
INSERT INTO composites VALUES (3, (1, 'before'), NULL, NULL, NULL);
INSERT INTO arrays (id, e) VALUES (4, '{red}');
ALTER TYPE colour RENAME VALUE 'red' TO 'crimson';
INSERT INTO arrays (id, e) VALUES (5, '{crimson}');
COMMIT;
SELECT * FROM decoded() l WHERE l !~ '^(begin|commit)';
DROP TABLE arrays, composites, ranges;
DROP DOMAIN pair_domain, ints_domain;
DROP TYPE nested, pair, colour, floatrange;
