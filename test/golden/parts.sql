-- A row in parts, made by a plugin whose limits are 2048 and 1000 bytes.
CREATE TABLE parted (id int PRIMARY KEY, a text, b text, c int);
ALTER TABLE parted ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
BEGIN;
INSERT INTO parted VALUES (1, 'small', NULL, 1);
INSERT INTO parted VALUES (2, repeat('0123456789', 250), repeat('abcdefghij', 300), 2);
UPDATE parted SET c = 3 WHERE id = 2;
UPDATE parted SET b = repeat('ABCDEFGHIJ', 300) WHERE id = 2;
COMMIT;
