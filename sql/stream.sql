-- Transactions in progress: blocks, aborted subtransactions, ends.
CREATE TABLE str (id int PRIMARY KEY, t text);
-- That it was made is told in packets of their own.
SELECT count(*) > 0 AS made FROM packets();
BEGIN;
INSERT INTO str SELECT g, repeat('x', 200) FROM generate_series(1, 600) g;
SAVEPOINT a;
INSERT INTO str SELECT g, repeat('y', 200) FROM generate_series(1001, 1600) g;
ROLLBACK TO a;
INSERT INTO str SELECT g, repeat('z', 200) FROM generate_series(2001, 2600) g;
COMMIT;
-- Off by default.
SELECT count(*), count(*) FILTER (WHERE l ~ '^stream') AS stream FROM peeked() l;
-- On: rows of the aborted subtransaction may come, and are taken back.
SELECT count(*) FILTER (WHERE l ~ '^stream start') > 1 AS blocks,
	count(*) FILTER (WHERE l ~ '^stream start') =
		count(*) FILTER (WHERE l ~ '^stream stop') AS closed,
	count(*) FILTER (WHERE l ~ '^relation') =
		count(*) FILTER (WHERE l ~ '^stream start') AS relation_each,
	count(*) FILTER (WHERE l ~ '^insert.*[xz]''$') AS rows,
	count(*) FILTER (WHERE l ~ '^stream abort of sub') AS aborts,
	count(*) FILTER (WHERE l ~ '^stream commit') AS commits,
	count(*) FILTER (WHERE l ~ '^(begin|commit)') AS plain
FROM peeked('streaming', 'on', 'include_relation', 'on') l;
-- Each change names its subtransaction; ordinals go on through all blocks.
WITH l AS (SELECT substring(l from '^\w+ ?\w*') AS what,
	substring(l from 'xid (\d+)') AS xid, substring(l from 'seq (\d+)')::int AS seq
	FROM decoded('streaming', 'on', 'include_xid', 'on', 'include_lsn', 'on') l)
SELECT count(DISTINCT xid) >= 1 AS xids, count(seq) = count(DISTINCT seq) AS unique,
	min(seq), max(seq) >= 1200 AS all FROM l WHERE what ~ '^insert';
-- An aborted subtransaction of one that is streamed is told; rows of a
-- transaction that aborts as a whole are taken back or never sent.
BEGIN;
INSERT INTO str SELECT g, repeat('x', 200) FROM generate_series(3001, 3600) g;
ROLLBACK;
SELECT count(*) FILTER (WHERE l ~ '^stream commit') AS commits,
	count(*) FILTER (WHERE l ~ '^commit') AS plain FROM decoded('streaming', 'on') l;
-- Small ones come as ever; schema changes within a streamed one.
INSERT INTO str VALUES (4000, 'small');
BEGIN;
INSERT INTO str SELECT g, repeat('x', 200) FROM generate_series(4001, 4600) g;
ALTER TABLE str ADD COLUMN n int DEFAULT 3;
SELECT 'x' FROM pg_logical_emit_message(true, 'app', 'in a stream');
INSERT INTO str SELECT g, repeat('x', 200), g FROM generate_series(5001, 5600) g;
UPDATE str SET t = 'changed' WHERE id = 4001;
TRUNCATE str;
INSERT INTO str SELECT g, repeat('x', 200), g FROM generate_series(6001, 6600) g;
COMMIT;
SELECT regexp_replace(l, 'x{10,}', '...') AS line FROM decoded('streaming', 'on') l
WHERE l ~ '=(4000|4001|4600|5001|5600|6001) ' OR l !~ '^(insert|stream)';
-- Nothing wanted: nothing sent.
BEGIN;
INSERT INTO str SELECT g, repeat('x', 200), g FROM generate_series(7001, 7600) g;
COMMIT;
SELECT * FROM decoded('streaming', 'on', 'tables', 'no.thing', 'messages', 'off');
DROP TABLE str;
