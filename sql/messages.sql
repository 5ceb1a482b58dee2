-- Logical messages.
CREATE TABLE msg (id int);
SELECT 'x' FROM pg_logical_emit_message(true, 'app', 'alone');
BEGIN;
INSERT INTO msg VALUES (1);
SELECT 'x' FROM pg_logical_emit_message(true, 'app', 'inside ''quoted''');
SELECT 'x' FROM pg_logical_emit_message(false, 'app', 'at once');
INSERT INTO msg VALUES (2);
COMMIT;
BEGIN;
SELECT 'x' FROM pg_logical_emit_message(true, 'app', 'undone');
SELECT 'x' FROM pg_logical_emit_message(false, 'app', 'not undone');
ROLLBACK;
SELECT 'x' FROM pg_logical_emit_message(false, 'bytes', '\xff00fe'::bytea);
SELECT 'x' FROM pg_logical_emit_message(true, '', '');
SELECT * FROM peeked();
SELECT * FROM peeked('tables', 'no.thing');
SELECT * FROM decoded('messages', 'off');
DROP TABLE msg;
