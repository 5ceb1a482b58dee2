-- Each change carries the schema of its moment.
CREATE TABLE ddl (id int PRIMARY KEY, a text, b int);
BEGIN;
INSERT INTO ddl VALUES (1, 'a', 1);
ALTER TABLE ddl ADD COLUMN c int DEFAULT 42;
INSERT INTO ddl VALUES (2, 'a', 2, 2);
UPDATE ddl SET b = 3 WHERE id = 1;
ALTER TABLE ddl DROP COLUMN a;
INSERT INTO ddl VALUES (3, 3, 3);
ALTER TABLE ddl RENAME b TO "B";
INSERT INTO ddl VALUES (4, 4, 4);
ALTER TABLE ddl ALTER c TYPE text USING c::text;
INSERT INTO ddl VALUES (5, 5, 'five');
ALTER TABLE ddl RENAME TO ddl2;
INSERT INTO ddl2 VALUES (6, 6, 'six');
CREATE SCHEMA moved;
ALTER TABLE ddl2 SET SCHEMA moved;
INSERT INTO moved.ddl2 VALUES (7, 7, 'seven');
ALTER SCHEMA moved RENAME TO moved2;
INSERT INTO moved2.ddl2 VALUES (8, 8, 'eight');
COMMIT;
SELECT * FROM decoded('include_relation', 'on');
-- A row older than the column: the default of then, in the old row too.
CREATE TABLE fast (id int PRIMARY KEY, n int);
INSERT INTO fast VALUES (1, 1);
INSERT INTO fast VALUES (2, 2);
ALTER TABLE fast ADD COLUMN d int DEFAULT 42, ADD COLUMN e text,
	ADD COLUMN f text DEFAULT 'eff';
ALTER TABLE fast REPLICA IDENTITY FULL;
ALTER TABLE fast ALTER d SET DEFAULT 43;
DELETE FROM fast WHERE id = 1;
UPDATE fast SET n = 3 WHERE id = 2;
SELECT * FROM decoded('old', 'full') l WHERE l !~ '^(begin|commit)';
-- Generated columns.
CREATE TABLE gen (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2)
	STORED, i int GENERATED ALWAYS AS IDENTITY);
INSERT INTO gen (id, a) VALUES (1, 1);
UPDATE gen SET a = 5;
SELECT * FROM decoded('include_relation', 'on') l WHERE l !~ '^(begin|commit)';
-- A type is renamed, an enum gets labels.
CREATE TYPE state AS ENUM ('open');
CREATE TABLE typed (id int PRIMARY KEY, s state);
BEGIN;
INSERT INTO typed VALUES (1, 'open');
ALTER TYPE state RENAME TO status;
INSERT INTO typed VALUES (2, 'open');
ALTER TYPE status RENAME VALUE 'open' TO 'opened';
INSERT INTO typed VALUES (3, 'opened');
COMMIT;
ALTER TYPE status ADD VALUE 'closed';
INSERT INTO typed VALUES (4, 'closed');
SELECT * FROM decoded('include_relation', 'on') l WHERE l !~ '^(begin|commit)';
-- Created, filled and dropped in one transaction; rewritten; and swapped.
BEGIN;
CREATE TABLE brief (id int PRIMARY KEY, t text);
INSERT INTO brief VALUES (1, 'x');
DROP TABLE brief;
COMMIT;
CREATE TABLE swap1 (id int);
CREATE TABLE swap2 (id text);
BEGIN;
INSERT INTO swap1 VALUES (1);
ALTER TABLE swap1 RENAME TO swap3;
ALTER TABLE swap2 RENAME TO swap1;
INSERT INTO swap1 VALUES ('one');
COMMIT;
VACUUM FULL fast;
CLUSTER fast USING fast_pkey;
SELECT * FROM decoded() l WHERE l !~ '^(begin|commit)';
DROP TABLE fast, gen, typed, swap1, swap3;
DROP TYPE status;
SET client_min_messages = warning;
DROP SCHEMA moved2 CASCADE;
