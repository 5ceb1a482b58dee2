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
-- An error in the middle of decoding: the slot is as usable as before.
CREATE PUBLICATION err_p FOR TABLE err;
INSERT INTO err VALUES (3);
ALTER PUBLICATION err_p SET TABLE err WHERE (id > 1);
INSERT INTO err VALUES (4);
ALTER PUBLICATION err_p SET TABLE err;
SELECT * FROM decoded('publication_names', 'err_p');
ALTER TABLE err DROP COLUMN c15;
INSERT INTO err VALUES (5);
SELECT * FROM decoded();
DROP PUBLICATION err_p;
DROP TABLE err;
