-- Many calls in one session, with errors between them: callbacks are
-- registered once, and nothing of a failed call is used by the next.
CREATE TABLE err (id int PRIMARY KEY);
INSERT INTO err VALUES (1);
DO $$
BEGIN
	FOR i IN 1..60 LOOP
		PERFORM * FROM peeked();
		BEGIN
			PERFORM * FROM peeked('nonsense', 'x');
		EXCEPTION WHEN invalid_parameter_value THEN
			NULL;
		END;
		IF i % 15 = 0 THEN
			EXECUTE format('ALTER TABLE err ADD COLUMN c%s int', i);
			EXECUTE format('DROP TABLE IF EXISTS err_%s', i);
		END IF;
	END LOOP;
END $$;
INSERT INTO err VALUES (2, 2, 2, 2, 2);
SELECT * FROM decoded();
-- The slot is as usable as before.
INSERT INTO err VALUES (3);
SELECT * FROM decoded('format', 'binary');
SELECT * FROM decoded();
DROP TABLE err;
