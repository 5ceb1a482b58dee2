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
