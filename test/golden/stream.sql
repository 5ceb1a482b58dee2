-- options 'streaming', 'on'
-- A transaction in progress: two blocks at least, and a subtransaction that
-- is undone.
CREATE TABLE streamed (id int);
BEGIN;
INSERT INTO streamed SELECT g FROM generate_series(1, 600) g;
SAVEPOINT a;
INSERT INTO streamed SELECT g FROM generate_series(1001, 1100) g;
ROLLBACK TO a;
SELECT pg_logical_emit_message(true, 'app', 'in a stream');
INSERT INTO streamed SELECT g FROM generate_series(2001, 2600) g;
TRUNCATE streamed;
COMMIT;
