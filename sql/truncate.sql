-- One truncate, its tables and flags.
CREATE TABLE tr_a (id serial PRIMARY KEY);
CREATE TABLE tr_b (id int PRIMARY KEY REFERENCES tr_a);
CREATE TABLE tr_c (id int);
TRUNCATE tr_a, tr_b, tr_c;
TRUNCATE tr_a CASCADE;
TRUNCATE tr_c RESTART IDENTITY;
TRUNCATE tr_a, tr_c RESTART IDENTITY CASCADE;
BEGIN;
INSERT INTO tr_c VALUES (1);
TRUNCATE tr_c;
INSERT INTO tr_c VALUES (2);
COMMIT;
SELECT * FROM peeked();
-- Only what is wanted.
SELECT * FROM peeked('tables', 'public.tr_b');
SELECT * FROM decoded('exclude', 'public.tr_a,public.tr_b') l WHERE l ~ '^trunc';
DROP TABLE tr_a, tr_b, tr_c;
