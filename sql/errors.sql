-- Many calls in one session, with errors between them: callbacks are
-- registered once, and nothing of a failed call is used by the next.
CREATE TABLE err (id int PRIMARY KEY);
INSERT INTO err VALUES (1);
\set VERBOSITY terse
SELECT 'SELECT * FROM peeked(''nonsense'', ''x'')' FROM generate_series(1, 3)
\gexec
DO $$
BEGIN
	FOR i IN 1..60 LOOP
		PERFORM * FROM peeked();
		IF i % 15 = 0 THEN
			EXECUTE format('ALTER TABLE err ADD COLUMN c%s int', i);
		END IF;
	END LOOP;
END $$;
SELECT * FROM peeked('nonsense', 'x');
INSERT INTO err VALUES (2, 2, 2, 2, 2);
SELECT * FROM decoded();
-- An error in the middle of decoding, of an output function in the midst of a
-- row: the slot is as usable as before.
SET client_min_messages = warning;
CREATE TYPE picky;
CREATE FUNCTION picky_in(cstring) RETURNS picky LANGUAGE internal IMMUTABLE STRICT
	AS 'int4in';
CREATE FUNCTION picky_out(picky) RETURNS cstring LANGUAGE internal STABLE STRICT
	AS 'enum_out';
CREATE TYPE picky (INPUT = picky_in, OUTPUT = picky_out, LIKE = int);
RESET client_min_messages;
CREATE TABLE err_picky (id int PRIMARY KEY, p picky);
INSERT INTO err VALUES (3);
BEGIN;
INSERT INTO err VALUES (4);
INSERT INTO err_picky VALUES (4, '4');
COMMIT;
SELECT * FROM decoded();
SELECT * FROM packets();
ALTER TABLE err DROP COLUMN c15;
INSERT INTO err VALUES (5);
SELECT * FROM decoded('exclude', 'public.err_picky');
DROP TABLE err, err_picky;
SET client_min_messages = warning;
DROP TYPE picky CASCADE;
