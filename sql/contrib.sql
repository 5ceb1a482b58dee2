-- Types of extensions, and an output function whose library is gone for a while.
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE DOMAIN mail AS citext CHECK (VALUE ~ '@');
CREATE TABLE people (mail mail PRIMARY KEY, tags hstore, aka citext[], n int);
INSERT INTO people VALUES
	('A@x', 'a=>1, "b c"=>NULL, "d\"e"=>"f\\\\g"', '{Ann,"B b",NULL}', 1),
	('b@x', '', '{}', 2),
	('c@x', NULL, NULL, 3);
-- An update of a key that only differs in case changes it.
UPDATE people SET mail = 'a@x' WHERE n = 1;
UPDATE people SET tags = tags || 'z=>9' WHERE n = 2;
UPDATE people SET tags = hstore('long', repeat('x', 10000)) WHERE n = 3;
ALTER TABLE people ALTER tags SET STORAGE EXTERNAL;
UPDATE people SET tags = hstore('toasted', repeat('y', 10000)) WHERE n = 3;
UPDATE people SET n = 4 WHERE n = 3;
DELETE FROM people;
SELECT regexp_replace(l, '([xy])\1{20,}', '\1...') FROM peeked() l;
SELECT l FROM peeked('include_relation', 'on') l WHERE l ~ '^relation';
ALTER TABLE people REPLICA IDENTITY FULL;
INSERT INTO people VALUES ('d@x', 'k=>v', '{D}', 5);
DELETE FROM people;
SELECT l FROM decoded() l WHERE l ~ 'd@x';
-- The same as UTF-8 text on the wire.
INSERT INTO people VALUES ('e@x', 'k=>v', '{E}', 6);
SELECT position('\x03'::bytea || 'e@x' in p) > 0 AS citext,
	position('\x08'::bytea || '"k"=>"v"' in p) > 0 AS hstore,
	position('\x03'::bytea || '{E}' in p) > 0 AS array
FROM packets() p;
DROP TABLE people;
-- An error in the change callback, whose cause no catalog knows: as long as it
-- lasts nothing is consumed, and then the slot goes on.
SET client_min_messages = warning;
CREATE TYPE late;
CREATE FUNCTION late_in(cstring) RETURNS late
	AS '$libdir/hstore', 'hstore_in' LANGUAGE C IMMUTABLE STRICT;
CREATE FUNCTION late_out(late) RETURNS cstring
	AS 'late', 'hstore_out' LANGUAGE C IMMUTABLE STRICT;
CREATE TYPE late (INPUT = late_in, OUTPUT = late_out, STORAGE = extended);
CREATE TABLE slow (id int PRIMARY KEY, v late);
INSERT INTO slow VALUES (1, NULL);
INSERT INTO slow VALUES (2, 'a=>1');
\! mv "$CDC_S3_LIB/late.so" "$CDC_S3_LIB/late.gone"
\c -
\set VERBOSITY terse
SELECT * FROM decoded();
SELECT count(*) FROM packets();
INSERT INTO slow VALUES (3, 'b=>2');
SELECT active FROM pg_replication_slots;
-- Other tables of the same slot can be had.
SELECT * FROM peeked('exclude', 'public.slow');
\! mv "$CDC_S3_LIB/late.gone" "$CDC_S3_LIB/late.so"
SELECT * FROM decoded();
DROP TABLE slow;
SET client_min_messages = warning;
DROP TYPE late CASCADE;
DROP DOMAIN mail;
DROP EXTENSION hstore;
DROP EXTENSION citext;
