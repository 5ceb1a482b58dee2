-- Changes that came from elsewhere.
CREATE TABLE org (id int);
SELECT 'x' FROM pg_replication_origin_create('far away');
SELECT pg_replication_origin_session_setup('far away');
BEGIN;
SELECT pg_replication_origin_xact_setup('AA/BB', '2026-11-21 12:00+00');
INSERT INTO org VALUES (1);
COMMIT;
SELECT pg_replication_origin_session_reset();
INSERT INTO org VALUES (2);
SELECT * FROM peeked();
SELECT * FROM decoded('origin', 'none');
SELECT pg_replication_origin_drop('far away');
DROP TABLE org;
