-- Prepared transactions.
SELECT 'x' FROM pg_create_logical_replication_slot('two', 'cdc_s3', false, true);
CREATE TABLE two (id int PRIMARY KEY);
CREATE FUNCTION two(VARIADIC options text[] DEFAULT '{}')
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT data FROM pg_logical_slot_get_changes('two', NULL, NULL,
		VARIADIC array['format', 'text'] || options)
$$;
BEGIN;
INSERT INTO two VALUES (1);
PREPARE TRANSACTION 'first ''gid''';
SELECT * FROM two('two_phase', 'on');
INSERT INTO two VALUES (2);
COMMIT PREPARED 'first ''gid''';
SELECT * FROM two('two_phase', 'on');
BEGIN;
INSERT INTO two VALUES (3);
PREPARE TRANSACTION 'undone';
SELECT * FROM two('two_phase', 'on');
ROLLBACK PREPARED 'undone';
SELECT * FROM two('two_phase', 'on');
-- Nothing wanted: it is told all the same, since its commit will be.
BEGIN;
INSERT INTO two VALUES (4);
PREPARE TRANSACTION 'unwanted';
SELECT * FROM two('two_phase', 'on', 'tables', 'no.thing');
COMMIT PREPARED 'unwanted';
SELECT * FROM two('two_phase', 'on', 'tables', 'no.thing');
-- Streamed, then prepared.
BEGIN;
INSERT INTO two SELECT g FROM generate_series(1001, 3000) g;
PREPARE TRANSACTION 'streamed';
SELECT min(l), count(*) > 1 AS several
	FROM two('two_phase', 'on', 'streaming', 'on') l
	GROUP BY regexp_replace(l, '\d+', '') ORDER BY 1;
COMMIT PREPARED 'streamed';
SELECT * FROM two('two_phase', 'on', 'streaming', 'on');
-- Without the option, as one transaction at its commit.
SELECT 'x' FROM pg_drop_replication_slot('two');
SELECT 'x' FROM pg_create_logical_replication_slot('two', 'cdc_s3', false, true);
BEGIN;
INSERT INTO two VALUES (5);
PREPARE TRANSACTION 'plain';
SELECT * FROM two();
COMMIT PREPARED 'plain';
SELECT * FROM two();
SELECT 'x' FROM pg_drop_replication_slot('two');
SELECT count(*) > 0 AS consumed FROM decoded();
DROP TABLE two;
DROP FUNCTION two;
