-- a
CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50))
CREATE TABLE m (id INT PRIMARY KEY, v VARCHAR(50)) ENGINE = MyISAM
INSERT INTO t VALUES (1, 'a'), (2, 'b')
SET binlog_rows_query_log_events = ON
UPDATE t SET v = 'c' WHERE id = 1
SET binlog_rows_query_log_events = OFF
DELETE FROM t WHERE id = 2
INSERT INTO m VALUES (1, 'myisam')
BEGIN
INSERT INTO t VALUES (3, 'x')
SAVEPOINT s1
INSERT INTO t VALUES (4, 'y')
ROLLBACK TO SAVEPOINT s1
INSERT INTO t VALUES (5, 'z')
COMMIT
SET gtid_next = 'AUTOMATIC:nightly'
INSERT INTO t VALUES (6, 'tagged')
SET gtid_next = 'AUTOMATIC'
XA START 'gtrid', 'bqual', 7
INSERT INTO t VALUES (7, 'xa')
XA END 'gtrid', 'bqual', 7
XA PREPARE 'gtrid', 'bqual', 7
XA COMMIT 'gtrid', 'bqual', 7
XA START 'one'
INSERT INTO t VALUES (8, 'xa')
XA END 'one'
XA COMMIT 'one' ONE PHASE
XA START 'back'
INSERT INTO t VALUES (9, 'xa')
XA END 'back'
XA PREPARE 'back'
XA ROLLBACK 'back'
CREATE TABLE copy AS SELECT * FROM t
CREATE TABLE ülike LIKE t
SET sql_mode = 'ANSI_QUOTES'
ALTER TABLE "t" ADD COLUMN "w x" INT DEFAULT 5
SET sql_mode = DEFAULT
SET binlog_transaction_compression = ON
INSERT INTO t SELECT id + 100, REPEAT('z', 40), 1 FROM t
SET binlog_transaction_compression = OFF
SET binlog_format = STATEMENT
UPDATE t SET v = 'statement' WHERE id = 3
SET binlog_format = ROW
SET binlog_row_value_options = PARTIAL_JSON
CREATE TABLE j (id INT PRIMARY KEY, d JSON)
INSERT INTO j VALUES (1, '{"a": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b": 1}')
UPDATE j SET d = JSON_SET(d, '$.b', 2)
SET binlog_row_image = MINIMAL
UPDATE t SET v = 'minimal' WHERE id = 3
SET binlog_row_image = FULL
CREATE TEMPORARY TABLE tmp (id INT)
INSERT INTO tmp VALUES (1)
DROP TEMPORARY TABLE tmp
TRUNCATE t
RENAME TABLE copy TO copy2, j TO story.j2
DROP TABLE copy2, j2
CREATE ROLE r
GRANT SELECT ON story.* TO r
FLUSH TABLES
CREATE DATABASE other
DROP DATABASE other
CREATE TABLE cs (v VARCHAR(10) CHARACTER SET latin1 COLLATE latin1_bin, w ENUM('ä') CHARACTER SET latin1, x TEXT CHARACTER SET utf8mb4)
SET NAMES latin1
"CREATE TABLE m\xfcller (id INT)"
"TRUNCATE m\xfcller"
SET NAMES gbk
"CREATE TABLE `\xc4\xe3` (id INT)"
SET NAMES utf8mb4
DROP TABLE cs
CREATE TABLE indexed (id INT PRIMARY KEY, j JSON, v INT AS (id + 1) STORED, w INT AS (id + 2) VIRTUAL, INDEX ((CAST(j->'$.a' AS UNSIGNED ARRAY))), INDEX ((id + 3)))
INSERT INTO indexed (id, j) VALUES (1, '{"a": [1, 2]}')
UPDATE indexed SET id = 2
SET sql_generate_invisible_primary_key = ON
CREATE TABLE keyless (v INT)
INSERT INTO keyless VALUES (5)
