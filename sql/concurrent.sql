-- A transaction that aborts while it is streamed.  A look at the catalog ends
-- its block with an error, in the middle of a row, which is taken back; what
-- comes next stands outside of the block.  From 18 on the server sees the abort
-- before, and streams nothing.
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE concurrent (id int PRIMARY KEY, m mood, t text);
-- That it was made is told in packets of their own.
SELECT count(*) > 0 AS made FROM packets();
INSERT INTO concurrent VALUES (0, 'glad', 'warms the caches');
BEGIN;
INSERT INTO concurrent VALUES (1, 'glad', 'sent');
INSERT INTO concurrent VALUES (2, 'sad', 'needs the catalog');
INSERT INTO concurrent SELECT g, 'glad', repeat('x', 200) FROM generate_series(3, 600) g;
SELECT length(pg_logical_emit_message(false, 'p', 'not in the block')::text) > 0;
SELECT pg_current_wal_insert_lsn() AS upto \gset
ROLLBACK;
INSERT INTO concurrent VALUES (3, 'sad', 'after');
SELECT data FROM pg_logical_slot_peek_changes('regress', :'upto', NULL,
	'format', 'text', 'streaming', 'on');
-- All of it, the abort too.
SELECT * FROM peeked('streaming', 'on');
SELECT * FROM decoded();

DROP TABLE concurrent;
DROP TYPE mood;
SELECT * FROM decoded();
