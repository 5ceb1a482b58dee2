-- encoding EUC_JP
-- Values with no UTF-8 form.
CREATE TABLE withheld (id int PRIMARY KEY, t text, a text[], n int);
INSERT INTO withheld VALUES (1, convert_from('\xc6fccbdc', 'EUC_JP'), NULL, 7);
SET client_encoding = 'EUC_JP';
INSERT INTO withheld VALUES (2, E'ab\xa9\xa1', ARRAY[E'\xa9\xa1'], 7);
INSERT INTO withheld VALUES (3, E'ab\xa9\xa1', NULL, 7);
