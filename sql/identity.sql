-- Which old row goes along, and what is said where there is none.
CREATE TABLE by_key (id int PRIMARY KEY, n int);
CREATE TABLE by_two (a int, n int, b text, PRIMARY KEY (b, a));
CREATE TABLE by_index (a int NOT NULL, b int NOT NULL, n int);
CREATE UNIQUE INDEX by_index_key ON by_index (b) INCLUDE (n);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_key;
CREATE TABLE full_with_key (id int PRIMARY KEY, n int, t text);
ALTER TABLE full_with_key REPLICA IDENTITY FULL;
CREATE TABLE full_without (id int, n int, t text);
ALTER TABLE full_without REPLICA IDENTITY FULL;
CREATE TABLE none (id int PRIMARY KEY, n int);
ALTER TABLE none REPLICA IDENTITY NOTHING;
CREATE TABLE no_key (id int, n int);
CREATE TABLE late_key (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, n int);
CREATE TABLE lost_index (id int NOT NULL, n int);
CREATE UNIQUE INDEX lost_index_key ON lost_index (id);
ALTER TABLE lost_index REPLICA IDENTITY USING INDEX lost_index_key;
DROP INDEX lost_index_key;
CREATE FUNCTION exercise(t text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('UPDATE %I SET n = 2', t);
	EXECUTE format('UPDATE %I SET id = 5', t);
	EXECUTE format('DELETE FROM %I', t);
END $$;
CREATE FUNCTION lines(VARIADIC text[] DEFAULT '{}') RETURNS SETOF text
LANGUAGE sql AS $$
	SELECT l FROM decoded(VARIADIC $1) l WHERE l !~ '^(begin|commit)' $$;
INSERT INTO by_key VALUES (1, 1);
SELECT exercise('by_key');
INSERT INTO by_two VALUES (1, 1, 'x');
UPDATE by_two SET n = 2;
UPDATE by_two SET a = 5;
DELETE FROM by_two;
INSERT INTO by_index VALUES (1, 1, 1);
UPDATE by_index SET n = 2;
UPDATE by_index SET a = 3;
UPDATE by_index SET b = 5;
DELETE FROM by_index;
SELECT * FROM lines('include_relation', 'on');
INSERT INTO full_with_key VALUES (1, 1, NULL);
SELECT exercise('full_with_key');
INSERT INTO full_without VALUES (1, 1, NULL);
SELECT exercise('full_without');
SELECT * FROM lines('include_relation', 'on');
INSERT INTO full_with_key VALUES (1, 1, 'x');
SELECT exercise('full_with_key');
INSERT INTO by_key VALUES (1, 1);
SELECT exercise('by_key');
SELECT * FROM lines('old', 'full');
INSERT INTO none VALUES (1, 1);
SELECT exercise('none');
INSERT INTO no_key VALUES (1, 1);
SELECT exercise('no_key');
INSERT INTO late_key VALUES (1, 1);
SELECT exercise('late_key');
INSERT INTO lost_index VALUES (1, 1);
SELECT exercise('lost_index');
SELECT * FROM lines('include_relation', 'on');
-- The key by image: an equal value in another form is another key.
CREATE TABLE by_numeric (id numeric PRIMARY KEY, n int);
INSERT INTO by_numeric VALUES (1.0, 1);
UPDATE by_numeric SET id = 1.00;
UPDATE by_numeric SET id = 1.00, n = 2;
SELECT * FROM lines();
-- It switches within a transaction.
BEGIN;
INSERT INTO by_key VALUES (1, 1);
UPDATE by_key SET n = 2;
ALTER TABLE by_key REPLICA IDENTITY FULL;
UPDATE by_key SET n = 3;
ALTER TABLE by_key DROP CONSTRAINT by_key_pkey;
UPDATE by_key SET n = 4;
ALTER TABLE by_key REPLICA IDENTITY NOTHING;
UPDATE by_key SET n = 5;
DELETE FROM by_key;
COMMIT;
SELECT * FROM lines();
DROP TABLE by_key, by_two, by_index, full_with_key, full_without, none, no_key,
	late_key, lost_index, by_numeric;
DROP FUNCTION exercise, lines;
