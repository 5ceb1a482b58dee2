-- The extension: schema changes leave messages.  Its files are not installed
-- for this test, so its script is run without its first line.
CREATE SCHEMA cdc_s3;
\getenv script CDC_S3_SQL
\set ECHO none
\i :script
\set ECHO all
CREATE FUNCTION notices() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(l, '"oid" : \d+', '"oid" : N'),
		'message transactional ''cdc_s3.ddl'': ', '')
	FROM decoded() l WHERE l !~ '^(begin|commit)' $$;
SELECT count(*) >= 0 AS consumed FROM decoded();
CREATE TABLE note (id int PRIMARY KEY, n int);
INSERT INTO note VALUES (1, 1);
ALTER TABLE note ADD COLUMN a int DEFAULT 1;
ALTER TABLE note ADD COLUMN u uuid DEFAULT gen_random_uuid();
ALTER TABLE note ALTER n TYPE text USING n::text;
CREATE INDEX ON note (n);
CREATE TEMP TABLE temporary (id int);
DROP TABLE temporary;
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
INSERT INTO unlogged VALUES (1);
ALTER TABLE unlogged SET LOGGED;
ALTER TABLE unlogged SET UNLOGGED;
CREATE TABLE noted (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE "Noted 1" PARTITION OF noted FOR VALUES FROM ('2026-01-01')
	TO ('2026-02-01');
ALTER TABLE noted DETACH PARTITION "Noted 1";
ALTER TABLE noted ATTACH PARTITION "Noted 1" FOR VALUES FROM ('2026-01-01')
	TO ('2026-02-01');
SELECT id INTO made FROM note;
TRUNCATE note;
BEGIN;
ALTER TABLE note RENAME TO renamed;
ROLLBACK;
DROP TABLE note, noted, made, unlogged;
SELECT * FROM notices();
-- What stands in a function, and what goes with something else.
CREATE TABLE stem (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE stem_1 PARTITION OF stem FOR VALUES FROM ('2026-01-01')
	TO ('2026-02-01');
CREATE SCHEMA twigs;
CREATE TABLE twigs.stem_2 PARTITION OF stem FOR VALUES FROM ('2026-02-01')
	TO ('2026-03-01');
CREATE UNLOGGED TABLE quick (id int);
CREATE TABLE attach (id int DEFAULT 1);
SELECT count(*) >= 0 AS consumed FROM decoded();
DO $$ BEGIN
	EXECUTE 'ALTER TABLE stem ' || reverse('1_mets NOITITRAP HCATED');
END $$;
ALTER TABLE attach ALTER id SET DEFAULT 2;
DROP SCHEMA twigs CASCADE;
ALTER TABLE quick SET LOGGED;
BEGIN;
DROP TABLE stem_1;
ALTER TABLE stem ADD COLUMN more int;
COMMIT;
SELECT * FROM notices();
-- Values that look otherwise: labels and attributes, and what is made of them.
CREATE TYPE label AS ENUM ('old', 'other');
CREATE DOMAIN label_d AS label;
CREATE TYPE pair AS (l label_d, n int);
CREATE TYPE lone AS (n int);
CREATE TYPE labels AS RANGE (subtype = label);
CREATE TABLE plain (id int PRIMARY KEY, l label);
CREATE TABLE listed (l label[], n int) PARTITION BY LIST (n);
CREATE TABLE listed_1 PARTITION OF listed FOR VALUES IN (1);
CREATE TABLE paired (p pair);
CREATE TABLE ranged (r labels);
CREATE TABLE rows (id int, r plain[]);
CREATE TABLE apart (id int, l text);
CREATE TEMP TABLE away (l label);
SELECT count(*) >= 0 AS consumed FROM decoded();
ALTER TYPE label ADD VALUE 'new';
ALTER TYPE label OWNER TO CURRENT_USER;
ALTER TYPE pair RENAME ATTRIBUTE n TO number;
ALTER TYPE lone ADD ATTRIBUTE m int;
SELECT * FROM notices();
BEGIN;
ALTER TYPE label RENAME VALUE 'old' TO 'older';
SELECT * FROM notices();
COMMIT;
SELECT * FROM notices();
ALTER TYPE pair ADD ATTRIBUTE more text;
ALTER TABLE plain ADD COLUMN z int;
SELECT * FROM notices();
DROP TYPE labels CASCADE;
DROP DOMAIN label_d CASCADE;
SELECT * FROM notices();
DROP TABLE away;
DROP TABLE plain, listed, paired, ranged, rows, apart CASCADE;
DROP TYPE pair, label, lone;
SELECT count(*) >= 0 AS consumed FROM decoded();
-- A client that asks for nothing else gets those of tables it wants, each
-- behind what the table is.
CREATE TABLE known (id int PRIMARY KEY, n int);
CREATE TABLE other (id int PRIMARY KEY, n int);
BEGIN;
INSERT INTO known VALUES (1, 1);
ALTER TABLE known ALTER n TYPE bigint;
ALTER TABLE other ALTER n TYPE bigint;
SELECT 'x' FROM pg_logical_emit_message(true, 'app', 'not asked for');
SELECT 'x' FROM pg_logical_emit_message(false, 'cdc_s3.ddl', '"oid" : 1259');
COMMIT;
SELECT count(pg_logical_emit_message(true, 'cdc_s3.ddl', m))
	FROM unnest(ARRAY['', '"oid" : ', '{"oid" : 1259}', '{"oid" : 99999999999}',
		'{"oid" : -1}', '{"oid" : ' || 'known_pkey'::regclass::oid || '}',
		'no "oid" : 0']) m;
SELECT regexp_replace(regexp_replace(l, '"oid" : \d+', '"oid" : N'), '"tag".*"n',
	'..."n') FROM peeked('messages', 'ddl', 'tables', 'public.known',
	'include_relation', 'on') l;
SELECT count(*) FROM peeked('messages', 'ddl', 'tables', 'public.nothing');
SELECT count(*) >= 0 AS consumed FROM decoded();
DROP TABLE stem, known, other, quick, attach;
SELECT count(*) >= 0 AS consumed FROM decoded();
-- Any role can.
CREATE ROLE noter;
CREATE SCHEMA noters AUTHORIZATION noter;
SET ROLE noter;
CREATE TABLE noters.t (id int);
DROP TABLE noters.t;
RESET ROLE;
SELECT * FROM notices();
DROP FUNCTION notices;
DROP SCHEMA noters;
DROP ROLE noter;
SET client_min_messages = warning;
DROP SCHEMA cdc_s3 CASCADE;
SELECT count(*) >= 0 AS consumed FROM decoded();
