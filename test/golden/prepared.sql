-- options 'two_phase', 'on'
-- Prepared transactions, one committed and one rolled back.
CREATE TABLE prepared (id int PRIMARY KEY);
BEGIN;
INSERT INTO prepared VALUES (1);
PREPARE TRANSACTION 'gid 1';
BEGIN;
INSERT INTO prepared VALUES (2);
PREPARE TRANSACTION 'gid 2';
COMMIT PREPARED 'gid 1';
ROLLBACK PREPARED 'gid 2';
