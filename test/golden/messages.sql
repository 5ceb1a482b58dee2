-- Messages, an origin, and two partitions, one of another column order.
CREATE TABLE root (id int, at date, note text, PRIMARY KEY (id, at))
	PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF root FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE p2 (note text, at date NOT NULL, id int NOT NULL);
ALTER TABLE root ATTACH PARTITION p2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT pg_logical_emit_message(false, 'app', 'at once');
BEGIN;
SELECT pg_logical_emit_message(true, 'app', 'inside');
INSERT INTO root VALUES (1, '2026-01-15', 'one'), (2, '2026-02-15', NULL);
UPDATE root SET at = '2026-02-20' WHERE id = 1;
DELETE FROM root WHERE id = 2;
COMMIT;
TRUNCATE root;
TRUNCATE p2;
SELECT pg_replication_origin_create('far');
SELECT pg_replication_origin_session_setup('far');
BEGIN;
SELECT pg_replication_origin_xact_setup('AA/BB', '2026-11-21 12:00+00');
INSERT INTO root VALUES (3, '2026-01-16', 'from far');
COMMIT;
